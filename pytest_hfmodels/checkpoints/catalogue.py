"""The names that need no folder and no revision: what ships in the package, and what is pinned.

For `checkpoint`, inside this room.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_hfmodels.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Bundled:
    """A checkpoint inside the package."""

    name: str

    @property
    def names(self) -> tuple[str, ...]:
        """Its one name."""
        return (self.name,)

    def __str__(self) -> str:
        return f"the bundled {self.name!r}"


@dataclass(frozen=True)
class Published:
    """A repo on the Hub with the commit that this plugin pins it to.

    Args:
        repo_id: `org/name`.
        revision: the full commit.
        aliases: short names for it.
    """

    repo_id: str
    revision: str
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The repo id and the aliases."""
        return (self.repo_id, *self.aliases)

    def __str__(self) -> str:
        return f"the published {self.repo_id!r}"


PUBLISHED = (
    Published("openai-community/gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e", ("gpt2",)),
    Published(
        "transfo-xl/transfo-xl-wt103",
        "40a186da79458c9f9de846edfaea79c412137f97",
        ("transfo-xl-wt103",),
    ),
)


class Catalogue:
    """Bundled and published checkpoints by name; every name belongs to one of them.

    Raises:
        CheckpointError: two entries share a name or an alias.
    """

    def __init__(self, *, bundled: Iterable[str], published: Iterable[Published]) -> None:
        self._entries: dict[str, Bundled | Published] = {}
        entries: list[Bundled | Published] = [*map(Bundled, bundled), *published]
        for entry in entries:
            for name in entry.names:
                self._add(name, entry)

    def find(self, name: str) -> Bundled | Published | None:
        """Return the entry of that name or alias, or None."""
        return self._entries.get(name)

    def nearest(self, name: str) -> list[str]:
        """Return up to three names that look like `name`, the most alike first."""
        return difflib.get_close_matches(name, self._entries, n=3)

    def _add(self, name: str, entry: Bundled | Published) -> None:
        if name in self._entries:
            raise CheckpointError(
                f"The catalogue has two checkpoints named {name!r}: {self._entries[name]} and {entry}.",
                hint="Rename one of them, or drop the alias.",
            )
        self._entries[name] = entry
