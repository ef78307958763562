from __future__ import annotations

import importlib
import re
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest
from packaging.specifiers import SpecifierSet

from pytest_hfmodels.engines import upstream, usable
from tests.mutations.fault import Fault, UnknownFault, faults, named
from tests.mutations.observations import differ
from tests.mutations.patches import FaultDoesNotFit, edited, replaced, together

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

HERE = __name__


def answer() -> int:
    return 6 * 7


QUESTION = "before"


@pytest.fixture(scope="module")
def transformers() -> Iterator[ModuleType]:
    """The installed release, with TensorFlow if installed; on one thread, which is fastest for small models."""
    package = upstream.transformers(with_tensorflow="tensorflow" in usable())
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield package
    torch.set_num_threads(threads)


SHOWN = {name: fault for name, fault in faults().items() if fault.shown_by is not None}


# Some modules warn at import.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("fault", SHOWN.values(), ids=SHOWN)
def test_a_fault_changes_a_result_and_leaves_nothing_behind(fault: Fault, transformers: ModuleType) -> None:
    assert fault.shown_by is not None
    if fault.engine not in usable():
        pytest.skip(f"install {fault.engine}: the fault is in its part of transformers")
    if transformers.__version__ not in SpecifierSet(fault.releases, prereleases=True):
        pytest.skip(f"the fault patches the code of transformers{fault.releases}: install one of those to prove it")
    before = fault.shown_by()

    with fault.patch():
        under_the_fault = fault.shown_by()

    assert differ(before, under_the_fault)
    assert not differ(before, fault.shown_by())


@pytest.mark.parametrize("fault", faults().values(), ids=faults())
def test_a_fault_has_a_sentence_and_a_reference(fault: Fault) -> None:
    assert re.fullmatch(r"[^.].+\.", fault.says)
    assert re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", fault.reference)


def test_an_unknown_name_says_how_to_list_the_known_ones() -> None:
    with pytest.raises(UnknownFault, match="no fault 'none-such'") as raised:
        named("none-such")

    assert "--list" in raised.value.hint


def test_an_edit_applies_only_inside_its_block() -> None:
    with edited(f"{HERE}:answer", ("6 * 7", "6 * 9")):
        assert answer() == 54

    assert answer() == 42


def test_a_failure_inside_the_block_undoes_the_edit_too() -> None:
    with (
        pytest.raises(KeyError),
        together(edited(f"{HERE}:answer", ("6 * 7", "6 * 9")), replaced(f"{HERE}:QUESTION", 1)),
    ):
        raise KeyError

    assert answer() == 42
    assert QUESTION == "before"


def test_a_replaced_attribute_comes_back() -> None:
    with replaced(f"{HERE}:QUESTION", "after"):
        assert importlib.import_module(HERE).QUESTION == "after"

    assert importlib.import_module(HERE).QUESTION == "before"


@pytest.mark.parametrize(
    ("target", "old", "said"),
    [
        pytest.param(f"{HERE}:answer", "6 * 8", "'6 [*] 8' 0 times in its source", id="other-text"),
        pytest.param(f"{HERE}:answer", "e", "times in its source, expected once", id="not-once"),
        pytest.param(f"{HERE}:question", "6 * 7", "is not there", id="no-such-function"),
        pytest.param("no.such.module:answer", "6 * 7", "is not there", id="no-such-module"),
    ],
)
def test_an_edit_that_does_not_fit_the_release_says_so(target: str, old: str, said: str) -> None:
    with pytest.raises(FaultDoesNotFit, match=said) as raised, edited(target, (old, "")):
        pass

    assert "releases=" in raised.value.hint


def test_faults_exist_for_the_installed_release() -> None:
    assert any(version("transformers") in SpecifierSet(fault.releases) for fault in faults().values())
