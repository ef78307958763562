"""What can be typed after `hfmodels`: one file a command, each with `add` (its arguments) and `run` (an exit code).

Arguments are read here and nothing else is done: the work lives in the room that knows about it, imported when a
command runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import argparse

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # what `add_subparsers` returns
