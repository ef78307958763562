"""Test ids as people type them, without what the plugin and pytest add."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.snapshots.pending import select

from .test_pending import a_change

if TYPE_CHECKING:
    from pathlib import Path

AS_PYTEST_SAYS = [
    ("test_params[torch-two words]", "test_params[torch-two words]"),
    ("test_reply[torch]", "test_reply"),
    (r"test_params[torch-gr\xfc\xdfe]", r"test_params[torch-gr\xfc\xdfe]"),
]
TYPED = [
    ("test_params[torch-two words]", "test_params[two words]"),
    ("test_params[tensorflow-a::b/c]", "test_params[a::b/c]"),
    (r"test_params[torch-gr\xfc\xdfe]", "test_params[grüße]"),
    (r"test_params[\u65e5\u672c]", "test_params[日本]"),
    ("test_grüße[torch-a]", "test_grüße[a]"),
]
OTHERS = [
    ("test_params[torch-two words]", "test_params[words]"),
    ("test_params[torch-two words]", "test_params[tensorflow-two words]"),
    ("test_params[torch]", "test_params[]"),
    ("test_params[torchvision-two]", "test_params[two]"),
]


def selected(root: Path, name: str, typed: str) -> list[str]:
    found = [a_change(name), a_change("test_params[torch-others]")]
    return [pending.test.partition("::")[2] for pending in select(found, [f"{root}/tests/test_it.py::{typed}"], root)]


@pytest.mark.parametrize(("name", "typed"), [*AS_PYTEST_SAYS, *TYPED])
def test_a_pending_change_is_found_by_the_id_that_pytest_prints_or_people_type(
    tmp_path: Path, name: str, typed: str
) -> None:
    assert selected(tmp_path, name, typed) == [name]


@pytest.mark.parametrize(("name", "typed"), OTHERS)
def test_a_pending_change_is_not_found_by_another_id(tmp_path: Path, name: str, typed: str) -> None:
    with pytest.raises(SnapshotError, match="has no pending change"):
        selected(tmp_path, name, typed)


def test_an_exact_id_comes_before_one_with_an_engine(tmp_path: Path) -> None:
    found = [a_change("test_a[torch-b]"), a_change("test_a[torch-torch-b]")]

    assert select(found, [f"{tmp_path}/tests/test_it.py::test_a[torch-b]"], tmp_path) == found[:1]
