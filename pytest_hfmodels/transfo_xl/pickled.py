"""Plain data out of a pickle, without the pickle machine: nothing in the file can be run.

For `vocabulary`, inside this room.
"""

from __future__ import annotations

import pickletools
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

# Both come back as plain dicts: their names are compared, their classes never looked up.
_MAPPINGS = frozenset({("collections", "Counter"), ("collections", "OrderedDict")})
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_NUMBERS = frozenset({"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"})
_STRINGS = frozenset({"STRING", "BINSTRING", "SHORT_BINSTRING"})  # as Python 2 wrote them
_TEXTS = frozenset({"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"})
_VALUES = _NUMBERS | _STRINGS | _TEXTS
_NOTHING = frozenset({"PROTO", "FRAME", "STOP"})
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read_plain_pickle(path: Path) -> Any:
    """Return what the pickle at `path` holds: dicts, lists, tuples, str, int, bool and None, `Counter`s as dicts.

    The opcodes are listed by `pickletools`, which runs none, and followed here. Environment variables such as
    TRUST_REMOTE_CODE change nothing.

    Raises:
        CheckpointError: the file holds anything else, or is damaged.
    """
    machine = _PlainMachine()
    try:
        # Bytes, not a file: of a file, Python makes room for as much as an opcode claims to hold.
        for opcode, argument, _ in pickletools.genops(path.read_bytes()):
            machine.follow(opcode.name, argument)
        return machine.result()
    # A damaged or hostile file can be wrong in as many ways as it has bytes.
    except (_Refused, ValueError, IndexError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise CheckpointError(
            f"{path} was refused, and nothing in it was run: {str(error) or type(error).__name__}.",
            hint="Only words, numbers, lists and dicts are read from a pickle. Save the vocabulary as text, "
            "one word a line, in vocab.txt.",
        ) from error


class _Refused(Exception):
    """Something that plain data does not need."""


class _Mark:
    """Where a run of items starts on the stack."""


class _MappingName:
    """The name of `Counter` or `OrderedDict`, waiting for its items."""


class _PlainMachine:
    """The stack and memo of a pickle, for opcodes of plain data alone."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def result(self) -> Any:
        """Return the one value that is left."""
        if len(self._stack) != 1 or isinstance(self._stack[0], _Mark | _MappingName):
            raise _Refused("it is damaged")
        return self._stack[0]

    def follow(self, name: str, argument: Any) -> None:
        """Do what one opcode says, or refuse it."""
        if name in _VALUES:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            items = [self._pop() for _ in range(_TUPLES[name])]
            self._stack.append(tuple(reversed(items)))
        elif step := getattr(self, f"_do_{name.lower()}", None):
            step(argument)
        elif name not in _NOTHING:
            raise _Refused(f"it asks for {name}, which plain data does not need")

    def _pop(self) -> Any:
        value = self._stack.pop()
        if isinstance(value, _Mark):
            raise _Refused("it is damaged")
        return value

    def _items(self) -> list[Any]:
        """Take everything above the last mark."""
        items = []
        while not isinstance(value := self._stack.pop(), _Mark):
            items.append(value)
        return items[::-1]

    # Marks, memo

    def _do_mark(self, _: Any) -> None:
        self._stack.append(_Mark())

    def _do_memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _do_put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    _do_binput = _do_long_binput = _do_put

    def _do_get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    _do_binget = _do_long_binget = _do_get

    # Lists, tuples, dicts

    def _do_empty_list(self, _: Any) -> None:
        self._stack.append([])

    def _do_empty_tuple(self, _: Any) -> None:
        self._stack.append(())

    def _do_empty_dict(self, _: Any) -> None:
        self._stack.append({})

    def _do_list(self, _: Any) -> None:
        self._stack.append(self._items())

    def _do_tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._items()))

    def _do_dict(self, _: Any) -> None:
        items = self._items()
        self._stack.append({})
        self._set(items)

    def _do_append(self, _: Any) -> None:
        value = self._pop()
        self._top(list).append(value)

    def _do_appends(self, _: Any) -> None:
        items = self._items()
        self._top(list).extend(items)

    def _do_setitem(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        self._set([key, value])

    def _do_setitems(self, _: Any) -> None:
        self._set(self._items())

    def _set(self, items: list[Any]) -> None:
        mapping = self._top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Nothing else is hashed: hashing a deeply nested tuple can exhaust the C stack.
            if not isinstance(key, str | int | None):
                raise _Refused(f"a dict has a {type(key).__name__} as a key")
            mapping[key] = value

    def _top(self, kind: type) -> Any:
        if type(self._stack[-1]) is not kind:
            raise _Refused("it is damaged")
        return self._stack[-1]

    # Counter and OrderedDict

    def _do_global(self, names: str) -> None:
        self._name(*names.split(" ", 1))

    def _do_stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        self._name(module, name)

    def _name(self, module: Any, name: Any) -> None:
        if (module, name) not in _MAPPINGS:
            raise _Refused(f"it names {module}.{name}")
        self._stack.append(_MappingName())

    def _do_reduce(self, _: Any) -> None:
        arguments, name = self._pop(), self._pop()
        if not isinstance(name, _MappingName) or type(arguments) is not tuple or len(arguments) > 1:
            raise _Refused("it asks for a call")
        items = arguments[0] if arguments else {}
        pairs = items.items() if type(items) is dict else items
        self._stack.append({})
        self._set([part for key, value in pairs for part in (key, value)])
