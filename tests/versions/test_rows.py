from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.foundation.errors import VersionsError
from pytest_hfmodels.versions.rows import Row, parse_rows, requirement_name, requirement_path, tree_name

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["lib==4.37.2,5.0.0rc1, 5.23.0"], ["lib==4.37.2", "lib==5.0.0rc1", "lib==5.23.0"]),
        (["lib[fast]==1.0,2.0"], ["lib[fast]==1.0", "lib[fast]==2.0"]),
        (["lib==1.0,2.0", "lib==2.0"], ["lib==1.0", "lib==2.0"]),
    ],
)
def test_a_list_of_versions_is_a_row_each_and_each_once(arguments: list[str], names: list[str]) -> None:
    assert [(row.name, row.requirements) for row in parse_rows(arguments)] == [(name, (name,)) for name in names]


@pytest.mark.parametrize("text", ["lib>=1,<2", "lib==1.*,!=1.1", "lib", "lib @ git+https://example.org/lib@main"])
def test_any_other_requirement_is_one_row(text: str) -> None:
    (row,) = parse_rows([text])

    assert row == Row(text, (text,))
    assert row.asked == {"lib"}


def test_every_row_but_the_current_one_gets_what_is_added_and_leaves_out_what_is_dropped() -> None:
    row, current = parse_rows(["lib==1.0", "current"], ["numpy<2"], ["Tensor.Flow"])

    assert row == Row("lib==1.0", ("lib==1.0", "numpy<2"), without=("tensor-flow",))
    assert row.named == {"lib", "numpy", "tensor-flow"}
    assert current == Row("current", current=True)


def test_a_source_tree_is_named_in_its_files_and_installed_from_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "setup.py").write_text('from setuptools import setup\nsetup(\n    name="My_Lib",\n)')
    monkeypatch.chdir(tmp_path)
    (row,) = parse_rows(["./tree"])

    assert row == Row("./tree", (f"-e {tmp_path / 'tree'}",))
    assert row.asked == {"my-lib"}
    assert requirement_path(row.requirements[0]) == tmp_path / "tree"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pyproject.toml", '[project]\nname = "lib"\n'),
        ("setup.cfg", "[metadata]\nname = lib\n"),
        ("setup.py", "setup(name='lib')"),
    ],
)
def test_a_tree_is_named_in_any_of_three_files(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text)

    assert tree_name(tmp_path) == "lib"


def test_a_requirements_file_is_a_row_named_after_it(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("six==1.16.0\n")
    (tmp_path / "pins.txt").write_text("numpy==1.26.4\n")
    (tmp_path / "tree").mkdir()
    wheel = tmp_path / "my_lib-1.0-py3-none-any.whl"
    wheel.touch()
    file = tmp_path / "4.30.2.txt"
    file.write_text(
        "# why\nlib==1.0  # this one\n-r more.txt\n-c pins.txt\n"
        f"-e ./tree\n./{wheel.name}\n\n--find-links=./here\n--pre\n"
    )
    (row,) = parse_rows([str(file)])

    assert row.name == "4.30.2"
    assert row.requirements == (
        "lib==1.0",
        "six==1.16.0",
        f"-c {tmp_path / 'pins.txt'}",
        f"-e {tmp_path / 'tree'}",
        f"my-lib @ {wheel.as_uri()}",
        f"--find-links {tmp_path / 'here'}",
        "--pre",
    )
    assert row.asked == {"lib", "six", "tree", "my-lib"}
    assert requirement_path(row.requirements[4]) == wheel


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lib==x.y"], "'lib==x.y' is not a requirement"),
        (["lib==1.0,"], "'lib==' is not a requirement"),
        (["lib = 1"], "'lib = 1' is not a requirement"),
        (["./nowhere"], "nowhere, which does not exist"),
        (["rows/none.txt"], "The row rows/none.txt cannot be read"),
        ([], "There is no row."),
    ],
)
def test_what_is_no_row_is_refused_with_examples(arguments: list[str], message: str) -> None:
    with pytest.raises(VersionsError) as caught:
        parse_rows(arguments)

    assert message in caught.value.message
    assert "name==1.0,2.0" in caught.value.hint


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "old.txt").write_text(f"lib=={ord(folder)}\n")

    with pytest.raises(VersionsError, match=r"Two rows are called old\."):
        parse_rows([str(tmp_path / "a" / "old.txt"), str(tmp_path / "b" / "old.txt")])


@pytest.mark.parametrize(
    ("line", "name"), [("Lib_A[x]>=1", "lib-a"), ("-c pins.txt", None), ("lib @ file:///somewhere", "lib")]
)
def test_a_line_asks_for_a_distribution_or_none(line: str, name: str | None) -> None:
    assert requirement_name(line) == name
