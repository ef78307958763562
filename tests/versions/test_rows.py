from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.errors import VersionsError
from pytest_hfmodels.versions.rows import Row, parse_rows, requirement_name, requirement_path, tree_name

if TYPE_CHECKING:
    from pathlib import Path


def names(*arguments: str) -> list[str]:
    return [row.name for row in parse_rows(arguments)]


def test_a_list_of_versions_is_a_row_each() -> None:
    rows = parse_rows(["transformers==4.37.2,5.0.0rc1, 5.23.0"])

    assert [row.name for row in rows] == ["transformers==4.37.2", "transformers==5.0.0rc1", "transformers==5.23.0"]
    assert rows[0].requirements == ("transformers==4.37.2",)
    assert all(row.exact for row in rows)


@pytest.mark.parametrize("text", ["lib>=1,<2", "lib==1.*,!=1.1", "lib", "lib @ git+https://example.org/lib@main"])
def test_any_other_requirement_is_one_row_that_can_mean_something_else_tomorrow(text: str) -> None:
    (row,) = parse_rows([text])

    assert row == Row(text, (text,))
    assert not row.exact
    assert row.asked == {"lib"}


def test_extras_stay_with_each_version() -> None:
    assert names("lib[fast]==1.0,2.0") == ["lib[fast]==1.0", "lib[fast]==2.0"]


def test_the_current_environment_takes_nothing_more() -> None:
    assert parse_rows(["current"], ["six==1.0"], ["torch"]) == [Row("current", current=True)]


def test_what_every_row_gets_and_goes_without() -> None:
    (row,) = parse_rows(["lib==1.0"], ["numpy<2"], ["Tensor.Flow"])

    assert row.requirements == ("lib==1.0", "numpy<2")
    assert row.without == ("tensor-flow",)
    assert not row.exact


def test_a_row_that_is_typed_twice_is_one() -> None:
    assert names("lib==1.0,2.0", "lib==2.0") == ["lib==1.0", "lib==2.0"]


def test_a_source_tree_is_called_by_its_name_and_installed_from_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "setup.py").write_text('from setuptools import setup\nsetup(\n    name="My_Lib",\n)')
    monkeypatch.chdir(tmp_path)
    (row,) = parse_rows(["./tree"])

    assert row.name == "./tree"
    assert row.requirements == (f"My_Lib @ {(tmp_path / 'tree').as_uri()}",)
    assert row.asked == {"my-lib"}
    assert requirement_path(row.requirements[0]) == tmp_path / "tree"
    assert not row.exact


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pyproject.toml", '[project]\nname = "lib"\n'),
        ("setup.cfg", "[metadata]\nname = lib\n"),
        ("setup.py", "setup(name='lib')"),
    ],
)
def test_a_tree_says_its_name_in_any_of_three_files(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text)

    assert tree_name(tmp_path) == "lib"


def test_a_requirements_file_is_a_row_called_after_it(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("six==1.16.0\n")
    (tmp_path / "pins.txt").write_text("numpy==1.26.4\n")
    (tmp_path / "tree").mkdir()
    file = tmp_path / "4.30.2.txt"
    file.write_text("# why\nlib==1.0  # this one\n-r more.txt\n-c pins.txt\n-e ./tree\n\n--find-links ./here\n")
    (row,) = parse_rows([str(file)])

    assert row.name == "4.30.2"
    assert row.requirements == (
        "lib==1.0",
        "six==1.16.0",
        f"-c {tmp_path / 'pins.txt'}",
        f"-e {tmp_path / 'tree'}",
        f"--find-links {tmp_path / 'here'}",
    )
    assert row.asked == {"lib", "six", "tree"}


def test_a_file_of_exact_releases_is_exact(tmp_path: Path) -> None:
    file = tmp_path / "old.txt"
    file.write_text("lib==1.0\nsix===1.16.0\n")

    assert parse_rows([str(file)])[0].exact


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lib==x.y"], "'lib==x.y' names no version where 'x.y' stands."),
        (["lib==1.0,"], "names no version where '' stands"),
        (["lib = 1"], "'lib = 1' is no requirement"),
        (["./nowhere"], "nowhere, which a row names"),
        (["rows/none.txt"], "The row rows/none.txt cannot be read"),
        ([], "There is no row."),
    ],
)
def test_what_is_no_row_is_said_in_a_sentence_that_shows_what_one_is(arguments: list[str], says: str) -> None:
    with pytest.raises(VersionsError) as caught:
        parse_rows(arguments)

    assert says in caught.value.message
    assert "name==1.0,2.0" in caught.value.hint


def test_two_files_of_one_name_cannot_be_told_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "old.txt").write_text(f"lib=={ord(folder)}\n")

    with pytest.raises(VersionsError, match=r"Two rows are called old\."):
        parse_rows([str(tmp_path / "a" / "old.txt"), str(tmp_path / "b" / "old.txt")])


@pytest.mark.parametrize(
    ("line", "name"), [("Lib_A[x]>=1", "lib-a"), ("-c pins.txt", None), ("lib @ file:///somewhere", "lib")]
)
def test_a_line_is_about_a_distribution_or_none(line: str, name: str | None) -> None:
    assert requirement_name(line) == name
