from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.errors import OptionError
from pytest_hfmodels.model_request import ModelRequest
from pytest_hfmodels.snapshots.location import snapshot_file, test_name

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def items(pytester: pytest.Pytester) -> dict[str, pytest.Item]:
    """Items by name, of a file in a folder of a project."""
    source = """
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
    (pytester.path / "checks" / "bots").mkdir(parents=True)
    (pytester.path / "checks" / "bots" / "test_it.py").write_text(source)
    pytester.makeini("[pytest]")
    found, _ = pytester.inline_genitems()
    return {item.name: item for item in found}


def place(item: pytest.Item, index: int | str = 0) -> str:
    return str(snapshot_file(item, index).relative_to(item.config.rootpath))


def test_files_mirror_the_tests(items: dict[str, pytest.Item]) -> None:
    assert place(items["test_plain"]) == "snapshots/checks/bots/test_it/test_plain.toml"
    assert place(items["test_method"]) == "snapshots/checks/bots/test_it/TestOuter.TestInner.test_method.toml"


def test_further_snapshots_have_an_index_or_a_name(items: dict[str, pytest.Item]) -> None:
    names = [place(items["test_plain"], index).rpartition("/")[2] for index in (0, 1, 12, "german", "a/b")]

    assert names == [
        "test_plain.toml",
        "test_plain.1.toml",
        "test_plain.12.toml",
        "test_plain[german].toml",
        "test_plain[a_b].toml",
    ]


def test_a_parameter_that_is_called_like_an_engine_is_kept(items: dict[str, pytest.Item]) -> None:
    assert place(items["test_other_parameter[torch]"]).endswith("/test_other_parameter[torch].toml")


def test_names_are_ones_that_every_file_system_takes(items: dict[str, pytest.Item]) -> None:
    def stem(start: str) -> str:
        item = next(item for name, item in items.items() if name.startswith(f"test_text[{start}"))
        return place(item).rpartition("/")[2]

    assert stem("a b") == "test_text[a b.c-\\xfc].toml".replace("\\", "_")
    assert stem("a/b") == "test_text[a_b_c].toml"
    assert stem("x:") == "test_text[x__y].toml"
    assert stem("\\t") == "test_text[_t_x00].toml"


def test_long_names_are_cut_and_stay_apart(items: dict[str, pytest.Item]) -> None:
    names = [place(item).rpartition("/")[2] for name, item in items.items() if len(name) > 300]

    assert len(names) == 2
    assert len(set(names)) == 2
    assert all(len(name.encode()) <= 205 for name in names)


@pytest.mark.parametrize(
    ("identifier", "engine", "name"),
    [
        ("torch", "torch", "test_a"),
        ("tensorflow", "tensorflow", "test_a"),
        ("torch-case", "torch", "test_a[case]"),
        ("torch-torch", "torch", "test_a[torch]"),
        ("tensorflow-a-b", "tensorflow", "test_a[a-b]"),
    ],
)
def test_the_engine_is_no_part_of_a_name(identifier: str, engine: str, name: str) -> None:
    assert test_name(item_of(identifier, engine)) == name


@pytest.mark.parametrize("identifier", ["case-torch", "torches"])
def test_an_engine_that_is_not_first_is_not_guessed_at(identifier: str) -> None:
    with pytest.raises(OptionError, match="does not begin with its engine"):
        test_name(item_of(identifier, "torch"))


def test_a_test_outside_the_root_is_refused(items: dict[str, pytest.Item], tmp_path: Path) -> None:
    outside = SimpleNamespace(
        config=items["test_plain"].config, path=tmp_path / "test_it.py", name="test_a", nodeid="test_it.py::test_a"
    )

    with pytest.raises(OptionError, match="lies outside the project's root") as raised:
        snapshot_file(outside, 0)  # type: ignore[arg-type]

    assert "--rootdir" in raised.value.hint


def item_of(identifier: str, engine: str) -> pytest.Item:
    """Return what `test_name` looks at of an item that our parametrisation made."""
    request = ModelRequest("gpt2", "tiny-gpt2", engine)
    name = f"test_a[{identifier}]"
    return SimpleNamespace(  # type: ignore[return-value]
        name=name,
        nodeid=f"checks/test_it.py::{name}",
        callspec=SimpleNamespace(id=identifier, params={"gpt2": request}),
    )
