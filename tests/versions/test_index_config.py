from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.versions import index_config

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _asked_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in index_config._SOURCES:
        monkeypatch.delenv(name, raising=False)
    index_config.pip_settings.cache_clear()
    yield
    index_config.pip_settings.cache_clear()


def test_uv_is_told_what_pip_is_told() -> None:
    settings = {
        "index-url": "https://one.example/simple",
        "extra-index-url": "https://two.example/simple\nfile:///folder",
        "find-links": "/wheels /more",
        "no-index": "false",
        "cert": "/certificates.pem",
    }

    assert index_config.as_uv_reads(settings) == {
        "UV_DEFAULT_INDEX": "https://one.example/simple",
        "UV_INDEX": "https://two.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/wheels,/more",
        "SSL_CERT_FILE": "/certificates.pem",
    }


def test_without_settings_of_pips_uv_is_told_nothing() -> None:
    assert index_config.as_uv_reads({}) == {}


def test_pips_settings_are_asked_of_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    if index_config._pip() is None:
        pytest.skip("install pip: this is about its settings")

    environment = index_config.environment_for_uv()

    assert (environment["UV_FIND_LINKS"], environment["UV_NO_INDEX"]) == ("/wheels", "1")


def test_a_variable_comes_before_a_file_as_it_does_for_pip() -> None:
    listed = ":env:.index-url='https://b.example'\nglobal.index-url='https://a.example'\nglobal.broken=oops(\n"

    assert dict(index_config._settings(listed)) == {"index-url": "https://b.example"}


def test_what_uv_has_been_told_itself_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_FIND_LINKS", "/own")
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels")

    environment = index_config.environment_for_uv()

    assert environment["UV_FIND_LINKS"] == "/own"
    assert "UV_DEFAULT_INDEX" not in environment


def test_without_pip_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_config, "_pip", lambda: None)

    assert index_config.pip_settings() == ()
