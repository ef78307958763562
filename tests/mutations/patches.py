"""Small patches of an imported library, in the running process only; no installed file changes.

A patch is a context manager; leaving it restores the original.
"""

from __future__ import annotations

import importlib
import inspect
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

from pytest_hfmodels.foundation.errors import HFModelsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from types import CodeType, FunctionType


class FaultDoesNotFit(HFModelsError):
    """The fault is for another release: the installed one lacks the code that it changes."""


@contextmanager
def edited(target: str, *changes: tuple[str, str]) -> Iterator[None]:
    """Run a function with changed source, as if its file had been edited.

    The function object stays the same and gets new code, so all references to it, decorated or not, run the edit.

    Args:
        target: "module:Class.function" or "module:function".
        *changes: (old, new): pieces of its source; each `old` occurs exactly once.

    Raises:
        FaultDoesNotFit: the installed release lacks the function or the text.
    """
    function = _function(target)
    original = function.__code__
    function.__code__ = _compiled(function, target, changes)
    try:
        yield
    finally:
        function.__code__ = original


@contextmanager
def replaced(target: str, value: object) -> Iterator[None]:
    """Give a module, a class or a function another value of an attribute.

    Args:
        target: "module:Class.attribute" or "module:attribute".
        value: the new one.

    Raises:
        FaultDoesNotFit: the installed release lacks the attribute.
    """
    path, _, name = target.rpartition("." if "." in target.partition(":")[2] else ":")
    owner = _found(path, target)
    if not hasattr(owner, name):
        raise _misfit(target, "is not there")
    with mock.patch.object(owner, name, value):
        yield


@contextmanager
def together(*patches: AbstractContextManager[None]) -> Iterator[None]:
    """Apply several patches as one fault."""
    with ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        yield


def _compiled(function: FunctionType, target: str, changes: tuple[tuple[str, str], ...]) -> CodeType:
    source = inspect.getsource(function)
    for old, new in changes:
        if source.count(old) != 1:
            raise _misfit(target, f"has {old!r} {source.count(old)} times in its source, expected once")
        source = source.replace(old, new)
    if source[0].isspace():  # a method: `super()` without arguments needs a class around it
        source = f"class {function.__qualname__.split('.')[-2]}:\n{source}"
    whole = compile(source, function.__code__.co_filename, "exec", dont_inherit=True)
    return next(code for code in _nested(whole) if code.co_name == function.__name__)


def _nested(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield constant
            yield from _nested(constant)


def _function(target: str) -> FunctionType:
    found = _found(target, target)
    found = inspect.unwrap(getattr(found, "__func__", found))
    if not inspect.isfunction(found):
        raise _misfit(target, "is no function with source")
    return found


def _found(path: str, target: str) -> Any:
    module, _, attributes = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for name in filter(None, attributes.split(".")):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        raise _misfit(target, f"is not there ({error})") from error
    return found


def _misfit(target: str, what: str) -> FaultDoesNotFit:
    return FaultDoesNotFit(
        f"The fault does not fit the installed release: {target} {what}.",
        hint="Write the fault for this release too, or say with `releases=` which ones it fits.",
    )
