"""Tells `hfmodels watch` what a run left: its pending changes, its models and its imports. Loaded with `-p`."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TypedDict

import pytest

from pytest_hfmodels.session import Session

VARIABLE = "PYTEST_HFMODELS_WATCH"  # the file to write


class Left(TypedDict):
    """What a run left.

    Args:
        pending: the tests whose outputs can be accepted or rejected.
        folders: the folders of the models that it loaded, except temporary ones.
        imported: the names of all imported modules, in the order of their imports.
        with_tensorflow: whether its tests use TensorFlow.
    """

    pending: list[str]
    folders: list[str]
    imported: list[str]
    with_tensorflow: bool


NOTHING = Left(pending=[], folders=[], imported=[], with_tensorflow=False)


def _lasts(folder: str) -> bool:
    return not Path(folder).is_relative_to(tempfile.gettempdir())


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Write what the run left; not on xdist's workers."""
    file = os.environ.get(VARIABLE)
    if not file or hasattr(config, "workerinput"):
        return
    session = Session.of(config)
    comparisons = [one for result in session.results() for one in result.comparisons]
    models = session.models
    left = Left(
        pending=sorted({one.pending.test for one in comparisons if one.pending is not None}),
        folders=[] if models is None else sorted(filter(_lasts, {str(one.folder) for one in models.checkpoints()})),
        imported=[*sys.modules],
        with_tensorflow=models is not None and models.with_tensorflow,
    )
    Path(file).write_text(json.dumps(left), encoding="utf-8")
