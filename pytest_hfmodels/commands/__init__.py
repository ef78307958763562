"""What can be typed after `hfmodels`: each module has `add` (the commands' arguments) and a function a command.

A command returns an exit code. Only arguments are read here. The work is done in other folders, imported when a
command runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import argparse

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # what `add_subparsers` returns
