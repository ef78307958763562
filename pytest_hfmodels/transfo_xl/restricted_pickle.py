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
_DEEPEST = 50  # lists in lists; a published vocabulary nests three deep
_KEY_BITS = 64  # of a number as a key: longer ones can be chosen to share one hash, or take long to hash
_MEMO_SIZE = 2**32  # as many as LONG_BINPUT can count
_REASON_LENGTH = 200


def read_plain_pickle(path: Path) -> Any:
    """Return what the pickle at `path` holds: dicts, lists, tuples, str, int, bool and None, `Counter`s as dicts.

    The opcodes are listed by `pickletools`, which runs none, and followed here. Environment variables such as
    TRUST_REMOTE_CODE change nothing.

    Raises:
        CheckpointError: the file holds anything else, or is damaged.
    """
    # Bytes, not a file: of a file, Python makes room for as much as an opcode claims to hold.
    content = path.read_bytes()
    machine = _PlainMachine(len(content))
    try:
        for opcode, argument, _ in pickletools.genops(content):
            machine.follow(opcode.name, argument)
        return machine.result()
    # A damaged or hostile file can be wrong in as many ways as it has bytes.
    # A Warning, because a strange escape in a string is one, and a test run may raise it.
    except (_Refused, ValueError, IndexError, KeyError, TypeError, OverflowError, RecursionError, Warning) as error:
        raise CheckpointError(
            f"{path} was refused, and nothing in it was run: {_printable(error)}.",
            hint="Only words, numbers, lists and dicts are read from a pickle. Save the vocabulary as text, "
            "one word a line, in vocab.txt.",
        ) from error


def _printable(error: Exception) -> str:
    """Say why, in a line that any terminal can show: the file chose some of the words."""
    reason = str(error) or type(error).__name__
    if reason.isascii() and reason.isprintable() and len(reason) <= _REASON_LENGTH:
        return reason
    return ascii(reason[:_REASON_LENGTH])[1:-1] + ("..." if len(reason) > _REASON_LENGTH else "")


class _Refused(Exception):
    """Something that plain data does not need."""


class _Mark:
    """Where a run of items starts on the stack."""


class _MappingName:
    """The name of `Counter` or `OrderedDict`, waiting for its items."""


class _Nesting:
    """How deep lists, tuples and dicts nest, so that nobody who compares, shows or copies them exhausts the C stack.

    What is inside another may change no more. A pickle finishes the inner one first, unless it holds itself.
    """

    def __init__(self) -> None:
        self._depths: dict[int, tuple[Any, int]] = {}  # with the container, as an id is free again without it
        self._inside: set[int] = set()

    def fill(self, container: Any, items: list[Any]) -> None:
        """Check that `items` may go into `container`, or have just made it."""
        if not items:
            return
        depth = self._depth(container)
        for item in items:
            if isinstance(item, list | tuple | dict):
                self._inside.add(id(item))
                depth = max(depth, self._depth(item) + 1)
            elif isinstance(item, _Mark | _MappingName):
                raise _Refused("it is damaged")
        if id(container) in self._inside:
            raise _Refused("it changes a list or a dict that is already inside another")
        if depth > _DEEPEST:
            raise _Refused(f"it nests more than {_DEEPEST} deep")
        self._depths[id(container)] = container, depth

    def _depth(self, container: Any) -> int:
        return self._depths.get(id(container), (container, 1))[1]


class _PlainMachine:
    """The stack and memo of a pickle of `size` bytes, for opcodes of plain data alone."""

    def __init__(self, size: int) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._nesting = _Nesting()
        self._copies_left = size

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
            self._push_tuple(items[::-1])
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
        if not 0 <= index < _MEMO_SIZE:
            raise _Refused("it is damaged")
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
        items = self._items()
        self._stack.append([])
        self._extend(items)

    def _do_tuple(self, _: Any) -> None:
        self._push_tuple(self._items())

    def _do_dict(self, _: Any) -> None:
        items = self._items()
        self._stack.append({})
        self._set(items)

    def _do_append(self, _: Any) -> None:
        self._extend([self._pop()])

    def _do_appends(self, _: Any) -> None:
        self._extend(self._items())

    def _do_setitem(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        self._set([key, value])

    def _do_setitems(self, _: Any) -> None:
        self._set(self._items())

    def _push_tuple(self, items: list[Any]) -> None:
        made = tuple(items)
        self._nesting.fill(made, items)
        self._stack.append(made)

    def _extend(self, items: list[Any]) -> None:
        growing = self._top(list)
        self._nesting.fill(growing, items)
        growing.extend(items)

    def _set(self, items: list[Any]) -> None:
        mapping = self._top(dict)
        self._nesting.fill(mapping, items)
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Nothing else is hashed: hashing a deeply nested tuple can exhaust the C stack.
            if not isinstance(key, str | int | None):
                raise _Refused(f"a dict has a {type(key).__name__} as a key")
            if isinstance(key, int) and key.bit_length() > _KEY_BITS:
                raise _Refused(f"a dict has a number of more than {_KEY_BITS} bits as a key")
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
        # Before the look-up, which hashes: a tuple of tuples takes forever, or the interpreter with it.
        if not isinstance(module, str) or not isinstance(name, str):
            raise _Refused("it names something by other than two strings")
        if (module, name) not in _MAPPINGS:
            raise _Refused(f"it names {module}.{name}")
        self._stack.append(_MappingName())

    def _do_reduce(self, _: Any) -> None:
        arguments, name = self._pop(), self._pop()
        if not isinstance(name, _MappingName) or type(arguments) is not tuple or len(arguments) > 1:
            raise _Refused("it asks for a call")
        items = arguments[0] if arguments else {}
        if type(items) not in (dict, list, tuple):
            raise _Refused("it asks for a call")
        # Each is written once and copied once. A file that has one dict copied again and again fills the memory.
        self._copies_left -= len(items)
        if self._copies_left < 0:
            raise _Refused("it copies more than it holds")
        pairs = items.items() if type(items) is dict else items
        self._stack.append({})
        self._set([part for key, value in pairs for part in (key, value)])
