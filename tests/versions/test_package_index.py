from __future__ import annotations

import ensurepip
import os
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from pytest_hfmodels.foundation.errors import VersionsError
from pytest_hfmodels.versions import package_index
from pytest_hfmodels.versions.package_index import (
    as_uv_reads,
    candidates,
    parse_package,
    pip_environment,
    uv_environment,
)

from .wheels import write_wheel

LISTED = "Available versions: 2.1.dev1, 2.0, 2.0+cpu, 2.0rc1, 1.10.0, 1.9, 1.2.post1, 1.2, not-a-version"
REFUSED = """WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError("refused")': /simple/lib/
ERROR: No matching distribution found for lib"""


def pip_says(monkeypatch: pytest.MonkeyPatch, output: str = "", *, errors: str = "") -> None:
    """Put a program in pip's place."""
    program = f"import sys; print({output!r}); print({errors!r}, file=sys.stderr); sys.exit({bool(errors)})"
    monkeypatch.setattr(package_index, "PIP", (sys.executable, "-c", program))


def test_the_releases_come_from_where_uv_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = sorted((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
    if not found:
        pytest.skip("this Python was built without ensurepip: run the tests with one that has it")
    monkeypatch.setattr(package_index, "PIP", (sys.executable, f"{found[-1]}/pip"))
    for name in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))
    for version in ("1.0", "1.1", "1.2", "1.3"):
        write_wheel(tmp_path, "lib", version, {"lib.py": ""})

    assert candidates("lib", "1.1", "1.3") == ("1.1", "1.2", "1.3")


@pytest.mark.parametrize(
    ("good", "bad", "pre", "between"),
    [
        ("1.2", "2.0", False, "1.2 1.2.post1 1.9 1.10.0 2.0"),
        ("1.10.0", "2.1.dev1", True, "1.10.0 2.0rc1 2.0 2.1.dev1"),
        ("2.0rc1", "2.0", False, "2.0rc1 2.0"),
        ("2.0", "1.9", False, "2.0 1.10.0 1.9"),
    ],
)
def test_releases_stand_in_order_and_builds_of_one_count_once(
    good: str, bad: str, pre: bool, between: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip_says(monkeypatch, LISTED)

    assert candidates("lib", good, bad, pre=pre) == tuple(between.split())


@pytest.mark.parametrize(
    ("good", "bad", "errors", "message"),
    [
        (
            "1.5",
            "2.0",
            "",
            "There is no release 1.5 of lib that this Python (*) can install.*Near it: 1.2, 1.2.post1, 1.9",
        ),
        ("1.9", "1.9.0", "", "Good and bad are the same release of lib: 1.9.*Name two"),
        ("1.9", "==2.0", "", "'==2.0' is not a version.*without =="),
        ("1.9", "2.0", REFUSED, "The package index cannot be reached*Check the network"),
        ("1.9", "2.0", "  cause: tunnel error: failed", "The package index cannot be reached*Check the network"),
        (
            "1.9",
            "2.0",
            "ERROR: No matching distribution found for lib",
            "pip does not list releases of lib *No matching*Check the name",
        ),
        (
            "1.9",
            "2.0",
            "ERROR: no, see scheme://user:secret@host/path",
            "pip does not list *no, see <address>*pip 21.2",
        ),
    ],
)
def test_what_makes_no_range_is_refused(
    good: str, bad: str, errors: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip_says(monkeypatch, "" if errors else LISTED, errors=errors)
    with pytest.raises(VersionsError) as refusal:
        candidates("lib", good, bad)

    assert fnmatchcase(str(refusal.value), f"{message}*"), str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_a_package_is_named_perhaps_with_extras() -> None:
    assert parse_package("transformers") == "transformers"
    assert parse_package("Sent_Trans[train,onnx]") == "sent-trans[onnx,train]"


@pytest.mark.parametrize("text", ["transformers==4.49.0", "transformers>4", "./folder", "lib @ file:///x", "", "a b"])
def test_a_package_is_named_without_anything_else(text: str) -> None:
    with pytest.raises(VersionsError, match="is not the name of a package"):
        parse_package(text)


# -- one configuration for both --------------------------------------------------------------------------------------


def test_uv_looks_where_pip_does() -> None:
    settings = {
        "index-url": "https://one.example/simple",
        "extra-index-url": "https://two.example/simple\nfile:///folder",
        "find-links": "/wheels /more",
        "no-index": "false",
        "cert": "/certificates.pem",
    }

    assert as_uv_reads(settings) == {
        "UV_DEFAULT_INDEX": "https://one.example/simple",
        "UV_INDEX": "https://two.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/wheels,/more",
        "SSL_CERT_FILE": "/certificates.pem",
    }
    assert as_uv_reads({}) == {}


def test_pip_looks_where_uv_does_unless_it_has_settings_of_its_own() -> None:
    uv = {"UV_DEFAULT_INDEX": "a", "UV_INDEX": "own=b c", "UV_EXTRA_INDEX_URL": "d", "UV_FIND_LINKS": "e,f"}
    pip = pip_environment(uv)

    assert (pip["PIP_INDEX_URL"], pip["PIP_EXTRA_INDEX_URL"], pip["PIP_FIND_LINKS"]) == ("a", "b c d", "e f")
    assert pip_environment({**uv, "PIP_INDEX_URL": "own"})["PIP_INDEX_URL"] == "own"


@pytest.mark.parametrize("own", [False, True])
def test_pip_is_asked_for_its_settings_only_if_uv_has_none(own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("UV_")]:
        monkeypatch.delenv(name)
    if own:
        monkeypatch.setenv("UV_NO_INDEX", "1")
    # A variable overrides a file, as it does for pip.
    pip_says(monkeypatch, ":env:.find-links='/wheels'\nglobal.find-links='/other'\nglobal.broken=oops(\n")
    package_index._pip_settings.cache_clear()

    assert uv_environment() == {**os.environ, **({} if own else {"UV_FIND_LINKS": "/wheels"})}
    package_index._pip_settings.cache_clear()
