"""Quotes commands for the shell. Every command that the plugin prints comes from `command`.

Everything may import this; it imports nothing of the package.
"""

from __future__ import annotations

import re
import shlex

UNTYPABLE = "# One of the names in this command cannot be typed in a shell."
_PLAIN = re.compile(r"[A-Za-z0-9_./:@,+=-]")


def command(*words: str) -> str:
    """Return a command as one line for sh, bash and zsh; the program receives each word unchanged.

    The line has no invisible characters: a word with control characters is written with `printf`.

    Args:
        words: the program and its arguments.

    Returns:
        The line; or the comment `UNTYPABLE` if a word contains a NUL, ends with a newline or is not valid text.
    """
    try:
        return " ".join(map(_quoted, words))
    except ValueError:  # includes UnicodeEncodeError, for a lone surrogate
        return UNTYPABLE


def is_command(line: str) -> bool:
    """Return whether a line of an explanation is a command of the plugin, which must not be shortened."""
    return line.startswith("hfmodels ")


def operand(name: str) -> str:
    """Return a test's or file's name so that no program reads it as an option (`-x`) or an argument file (`@x`)."""
    return f"./{name}" if name.startswith(("-", "@")) else name


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    if "\0" in word or word.endswith("\n"):
        raise ValueError("no shell can pass this word to a program")
    written = "".join(map(_escaped, word))
    if written.startswith("-"):  # printf would read it as an option
        written = f"\\055{written[1:]}"
    return f"\"$(printf '{written}')\""


def _escaped(character: str) -> str:
    """Return a character for `printf`, as octal bytes if a shell or a reader could misread it."""
    if _PLAIN.match(character) or (not character.isascii() and character.isprintable()):
        return character
    if character == "%":
        return "%%"
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))
