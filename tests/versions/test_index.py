from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.errors import VersionsError
from pytest_hfmodels.versions import index
from pytest_hfmodels.versions.index import Package, candidates

from .bundled_pip import use_bundled_pip
from .wheels import write_wheel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LISTED = "Available versions: 2.1.dev1, 2.0, 2.0+cpu, 2.0rc1, 1.10.0, 1.9, 1.2.post1, 1.2, not-a-version"
OFFLINE = """WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError("refused")': /simple/lib/
ERROR: No matching distribution found for lib"""


@pytest.fixture
def pip_says(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a program in pip's place that prints what it is told."""

    def says(output: str = "", *, errors: str = "", code: int = 0) -> None:
        program = f"import sys; print({output!r}); print({errors!r}, file=sys.stderr); sys.exit({code})"
        monkeypatch.setattr(index, "_pip", lambda: (sys.executable, "-c", program))

    return says


@pytest.fixture
def own_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that the installers look into, and into nothing else."""
    use_bundled_pip(monkeypatch)
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    return folder


def test_the_releases_come_from_where_the_installer_looks(own_index: Path) -> None:
    for version in ("1.0", "1.1", "1.2", "1.3"):
        write_wheel(own_index, "lib", version, {"lib.py": ""})

    assert candidates(Package("lib"), "1.1", "1.3") == ("1.1", "1.2", "1.3")


def test_final_releases_lie_between_and_builds_of_one_release_count_once(pip_says: Callable[..., None]) -> None:
    pip_says(LISTED)

    assert candidates(Package("lib"), "1.2", "2.0") == ("1.2", "1.2.post1", "1.9", "1.10.0", "2.0")


def test_pre_releases_lie_between_where_they_are_asked_for(pip_says: Callable[..., None]) -> None:
    pip_says(LISTED)

    assert candidates(Package("lib"), "1.10.0", "2.1.dev1", pre=True) == ("1.10.0", "2.0rc1", "2.0", "2.1.dev1")


def test_an_end_may_be_a_pre_release(pip_says: Callable[..., None]) -> None:
    pip_says(LISTED)

    assert candidates(Package("lib"), "2.0rc1", "2.0") == ("2.0rc1", "2.0")


def test_good_may_be_the_newer_one(pip_says: Callable[..., None]) -> None:
    pip_says(LISTED)

    assert candidates(Package("lib"), "2.0", "1.9") == ("2.0", "1.10.0", "1.9")


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("1.5", "2.0", "There is no release 1.5 of lib that this Python (*) can install.*Near it: 1.2, 1.2.post1, 1.9"),
        ("1.9", "99", "There is no release 99 of lib *Near it: 1.10.0, 2.0. "),
        ("1.9", "1.9.0", "Good and bad are the same release of lib: 1.9.*Name two"),
        ("1.9", "==2.0", "'==2.0' is no version.*without =="),
    ],
)
def test_ends_that_make_no_range_are_refused(pip_says: Callable[..., None], good: str, bad: str, message: str) -> None:
    pip_says(LISTED)

    with pytest.raises(VersionsError) as refusal:
        candidates(Package("lib"), good, bad)

    assert_says(refusal, message)


@pytest.mark.parametrize("said", [OFFLINE, "  cause: tunnel error: failed\n  cause: tcp connect error\n"])
def test_without_a_network_it_says_so(pip_says: Callable[..., None], said: str) -> None:
    pip_says(errors=said, code=1)

    with pytest.raises(VersionsError) as refusal:
        candidates(Package("lib"), "1.0", "2.0")

    assert_says(refusal, "The package index cannot be reached*Check the network")


def test_a_package_that_the_index_does_not_have_is_named(pip_says: Callable[..., None]) -> None:
    pip_says(errors="ERROR: No matching distribution found for libb", code=1)

    with pytest.raises(VersionsError) as refusal:
        candidates(Package("libb"), "1.0", "2.0")

    assert_says(refusal, "The package index has no release of libb that this Python (*) can install.*Check the name")


def test_another_complaint_of_pip_s_is_shown_without_addresses(pip_says: Callable[..., None]) -> None:
    pip_says(errors="ERROR: unknown command, see scheme://user:secret@host/path", code=1)

    with pytest.raises(VersionsError) as refusal:
        candidates(Package("lib"), "1.0", "2.0")

    assert_says(refusal, "pip does not say *unknown command, see <address>*pip 21.2 or later")
    assert "secret" not in str(refusal.value)


def test_without_a_pip_that_lists_releases_and_without_uv_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(index, "version", {"pip": "21.1"}.get)
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(VersionsError) as refusal:
        candidates(Package("lib"), "1.0", "2.0")

    assert_says(refusal, "*there is none*pytest-hfmodels[[]versions]")


def test_pip_is_told_what_uv_was_told() -> None:
    told = index._environment(
        {"UV_DEFAULT_INDEX": "a", "UV_INDEX": "own=b c", "UV_EXTRA_INDEX_URL": "d", "UV_FIND_LINKS": "e,f"}
    )

    assert told["PIP_INDEX_URL"] == "a"
    assert told["PIP_EXTRA_INDEX_URL"] == "b c d"
    assert told["PIP_FIND_LINKS"] == "e f"


def test_what_pip_was_told_itself_stays() -> None:
    told = index._environment({"UV_DEFAULT_INDEX": "a", "PIP_INDEX_URL": "own"})

    assert told["PIP_INDEX_URL"] == "own"


@pytest.mark.parametrize(
    ("text", "requirement"),
    [("transformers", "transformers==4.49.0"), ("Sent_Trans[train,onnx]", "sent-trans[onnx,train]==4.49.0")],
)
def test_a_package_is_named_perhaps_with_extras(text: str, requirement: str) -> None:
    assert Package.parse(text).at("4.49.0") == requirement


@pytest.mark.parametrize("text", ["transformers==4.49.0", "transformers>4", "./folder", "lib @ file:///x", "", "a b"])
def test_a_package_is_named_without_anything_else(text: str) -> None:
    with pytest.raises(VersionsError) as refusal:
        Package.parse(text)

    assert_says(refusal, f"{text!r} is no name of a package.*hfmodels bisect transformers --good".replace("[", "[[]"))


def assert_says(refusal: pytest.ExceptionInfo[VersionsError], pattern: str) -> None:
    from fnmatch import fnmatchcase

    assert fnmatchcase(str(refusal.value), f"*{pattern}*"), str(refusal.value)
