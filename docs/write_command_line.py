"""Writes docs/command-line.md from the commands' own help: `python docs/write_command_line.py`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_hfmodels.commands.cli import command_parser
from pytest_hfmodels.commands.epilogs import CANNOT, EPILOGS

TARGET = Path(__file__).parent / "command-line.md"
START = """\
# The command line

Written by `python docs/write_command_line.py` from the commands' own help. `python -m pytest_hfmodels` is the same as
`hfmodels`. Every command exits with 2 if it fails, and says why in its last line; with 130 if it is interrupted.

For completion in a shell, install the extra `completion` and add this line to your shell's start file:

```console
eval "$(register-python-argcomplete hfmodels)"
```
"""


def page() -> str:
    """Return the page."""
    actions = command_parser()._actions
    (commands,) = (action for action in actions if isinstance(action, argparse._SubParsersAction))
    parts = [START, *(_command(name, parser) for name, parser in commands.choices.items())]
    return "\n".join(parts)


def _command(name: str, parser: argparse.ArgumentParser) -> str:
    lines = [f"## hfmodels {name}", "", f"{parser.description}"]
    given = [action for action in parser._actions if action.dest != "help"]
    lines += ["", "| argument | meaning |", "|---|---|"] if given else []
    lines += [f"| `{_typed(action)}` | {_escaped(action.help or '')} |" for action in given]
    epilog = EPILOGS.get(name)
    if epilog is not None:
        width = max(map(len, epilog.examples))
        examples = [f"{typed:{width}}   # {what}" for typed, what in epilog.examples.items()]
        lines += ["", "```console", *examples, "```", "", "| exit code | meaning |", "|---|---|"]
        lines += [f"| {code} | {what} |" for code, what in {**epilog.codes, 2: CANNOT}.items()]
    return "\n".join([*lines, ""])


def _typed(action: argparse.Action) -> str:
    value = ""
    if action.nargs != 0:
        upper = action.dest.upper() if action.option_strings else action.dest
        value = str(action.metavar or ("{" + ",".join(map(str, action.choices)) + "}" if action.choices else upper))
    return ", ".join(action.option_strings) + (f" {value}" if value and action.option_strings else f"{value}")


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("%%", "%")


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
