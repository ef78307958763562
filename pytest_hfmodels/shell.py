"""Commands that somebody can paste into a shell. Whatever is printed for a person to type is written by `command`.

Every room may import this; it imports none.
"""

from __future__ import annotations

import re
import shlex

UNTYPABLE = "# No command line can hold one of the names in this command."
_PLAIN = re.compile(r"[A-Za-z0-9_./:@,+=-]")


def command(*words: str) -> str:
    """Return a command as one line for sh, bash and zsh; each word reaches the program exactly as it is here.

    The line holds nothing that a reader cannot see: a word with control characters is written by `printf`.

    Args:
        words: the program and its arguments.

    Returns:
        The line. `UNTYPABLE`, which is a comment, where a word holds a NUL, ends with a newline or is no text.
    """
    try:
        return " ".join(map(_quoted, words))
    except ValueError:  # a lone surrogate is one, too
        return UNTYPABLE


def is_command(line: str) -> bool:
    """Tell whether a line of an explanation is a command of ours: half of one is another one, so nobody may cut it."""
    return line.startswith("hfmodels ")


def operand(name: str) -> str:
    """Return a test's or a file's name as no program takes it for an option (`-x`) or a list of arguments (`@x`)."""
    return f"./{name}" if name.startswith(("-", "@")) else name


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    if "\0" in word or word.endswith("\n"):
        raise ValueError("no shell can hand this to a program")
    written = "".join(map(_escaped, word))
    if written.startswith("-"):  # which printf takes for an option
        written = f"\\055{written[1:]}"
    return f"\"$(printf '{written}')\""


def _escaped(character: str) -> str:
    """Return a character as `printf` writes it, by its bytes where a shell or a reader would take it for another."""
    if _PLAIN.match(character) or (not character.isascii() and character.isprintable()):
        return character
    if character == "%":
        return "%%"
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))
