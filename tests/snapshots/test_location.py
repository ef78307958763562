"""Which file a test's snapshot lives in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.foundation.errors import OptionError
from pytest_hfmodels.foundation.model_request import REQUEST, ModelRequest
from pytest_hfmodels.snapshots.location import may_own, snapshot_file, test_name

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """
import pytest

def test_plain(): pass

@pytest.mark.parametrize("engine", [pytest.param(1, id="torch")])
def test_other_parameter(engine): pass

@pytest.mark.parametrize("text", ["a b.c-ü", "a/b:c", "x::y", "\\t\\0"])
def test_text(text): pass

@pytest.mark.parametrize("number", [pytest.param(1, id=300 * "e"), pytest.param(2, id=299 * "e" + "x")])
def test_long(number): pass

class TestOuter:
    class TestInner:
        def test_method(self): pass
"""


@pytest.fixture
def items(pytester: pytest.Pytester) -> dict[str, pytest.Item]:
    """Items by name, of a file in a folder of a project."""
    (pytester.path / "checks" / "bots").mkdir(parents=True)
    (pytester.path / "checks" / "bots" / "test_it.py").write_text(SOURCE)
    pytester.makeini("[pytest]")
    return {item.name: item for item in pytester.inline_genitems()[0]}


def test_files_mirror_the_tests_and_have_names_that_every_file_system_takes(items: dict[str, pytest.Item]) -> None:
    files = [snapshot_file(item, 0) for name, item in items.items() if not name.startswith("test_long")]

    root = items["test_plain"].config.rootpath
    assert {str(file.parent.relative_to(root)) for file in files} == {"snapshots/checks/bots/test_it"}
    assert [file.name for file in files] == [
        "test_plain.toml",
        "test_other_parameter[torch].toml",  # a parameter that is called like an engine is kept
        "test_text[a b.c-_xfc].toml",
        "test_text[a_b_c].toml",
        "test_text[x__y].toml",
        "test_text[_t_x00].toml",
        "TestOuter.TestInner.test_method.toml",
    ]


@pytest.mark.parametrize(
    ("index", "name"),
    [
        (1, "test_plain.1.toml"),
        (12, "test_plain.12.toml"),
        ("german", "test_plain[german].toml"),
        ("a/b", "test_plain[a_b].toml"),
    ],
)
def test_further_snapshots_have_an_index_or_a_name(items: dict[str, pytest.Item], index: int | str, name: str) -> None:
    assert snapshot_file(items["test_plain"], index).name == name


def test_long_names_are_cut_and_stay_different(items: dict[str, pytest.Item]) -> None:
    names = {snapshot_file(item, 0).name for name, item in items.items() if len(name) > 300}

    assert len(names) == 2
    assert all(len(name.encode()) <= 205 for name in names)


@pytest.mark.parametrize(
    ("identifier", "engine", "name"),
    [
        ("torch", "torch", "test_a"),
        ("tensorflow", "tensorflow", "test_a"),
        ("torch-case", "torch", "test_a[case]"),
        ("torch-torch", "torch", "test_a[torch]"),
        ("tensorflow-a-b", "tensorflow", "test_a[a-b]"),
        ("case-torch", "torch", None),
        ("torches", "torch", None),
    ],
)
def test_the_engine_is_no_part_of_a_name_and_not_guessed_at(identifier: str, engine: str, name: str | None) -> None:
    request = ModelRequest(engine)
    own = f"test_a[{identifier}]"
    callspec = SimpleNamespace(id=identifier, params={REQUEST: request})
    item = SimpleNamespace(name=own, nodeid=f"checks/test_it.py::{own}", callspec=callspec)

    if name is None:
        with pytest.raises(OptionError, match="does not begin with its engine"):
            test_name(item)  # type: ignore[arg-type]
    else:
        assert test_name(item) == name  # type: ignore[arg-type]


def test_a_test_outside_the_root_is_refused(items: dict[str, pytest.Item], tmp_path: Path) -> None:
    outside = SimpleNamespace(config=items["test_plain"].config, path=tmp_path / "test_it.py", name="test_a")

    with pytest.raises(OptionError, match=r"lies outside the project's root[^$]*--rootdir"):
        snapshot_file(outside, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("nodeid", "snapshot", "owns"),
    [
        ("tests/test_a.py::test_x", "tests/test_a/test_x.toml", True),
        ("tests/test_a.py::test_x[torch]", "tests/test_a/test_x.toml", True),
        ("tests/test_a.py::test_x[torch-a::b]", "tests/test_a/test_x[a__b].toml", True),
        ("tests/test_a.py::TestA::test_x", "tests/test_a/TestA.test_x.2.toml", True),
        ("tests/test_a.py::TestA::test_x", "tests/test_a/TestA.test_x[a name].toml", True),
        ("hfmodels/org/bot::test_beams", "hfmodels/org/bot/test_beams.toml", True),
        ("tests/test_a.py::test_x", "tests/test_a/test_xy.toml", False),
        ("tests/test_a.py::test_x", "tests/test_b/test_x.toml", False),
        ("tests/test_a.py::test_x", "tests/test_a/test_x.toml/x.toml", False),
        ("tests/test_a.py::test_x[torch]", "tests/test_a/test_y.toml", False),
        ("../test_a.py::test_x", "tests/test_a/test_x.toml", False),
        ("", "tests/test_a/test_x.toml", False),
    ],
)
def test_a_test_s_id_says_which_snapshots_it_may_write(nodeid: str, snapshot: str, owns: bool) -> None:
    assert may_own(nodeid, f"snapshots/{snapshot}", "snapshots") == owns
