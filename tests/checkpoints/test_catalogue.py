from __future__ import annotations

import pytest

from pytest_hfmodels.checkpoints.catalogue import PUBLISHED, Bundled, Catalogue, Published
from pytest_hfmodels.errors import CheckpointError

COMMIT = "0" * 40
BOT = Published("org/bot", COMMIT, ("bot",))


def test_names_and_aliases_find_their_entry() -> None:
    catalogue = Catalogue(bundled=["tiny"], published=[BOT])

    assert catalogue.find("tiny") == Bundled("tiny")
    assert catalogue.find("org/bot") == catalogue.find("bot") == BOT
    assert catalogue.find("other") is None


@pytest.mark.parametrize(
    ("bundled", "published", "said"),
    [
        (["bot"], [BOT], "two checkpoints named 'bot': the bundled 'bot' and the published 'org/bot'"),
        ([], [BOT, Published("my/bot", COMMIT, ("bot",))], "'bot': the published 'org/bot' and the published 'my/bot'"),
        ([], [BOT, BOT], "two checkpoints named 'org/bot'"),
        ([], [Published("org/bot", COMMIT, ("org/bot",))], "two checkpoints named 'org/bot'"),
    ],
    ids=["bundled and alias", "two aliases", "one repo twice", "alias of itself"],
)
def test_a_name_of_two_checkpoints_is_refused(bundled: list[str], published: list[Published], said: str) -> None:
    with pytest.raises(CheckpointError, match=said) as raised:
        Catalogue(bundled=bundled, published=published)

    assert raised.value.hint == "Rename one of them, or drop the alias."


def test_the_nearest_names_come_first() -> None:
    catalogue = Catalogue(bundled=["tiny-gpt2", "tiny-transfo-xl"], published=[BOT])

    assert catalogue.nearest("tiny-gtp2")[0] == "tiny-gpt2"
    assert catalogue.nearest("nothing like it") == []


def test_what_is_published_is_pinned_to_full_commits() -> None:
    assert {name: entry.revision for entry in PUBLISHED for name in entry.names} == {
        "openai-community/gpt2": "607a30d783dfa663caf39e06633721c8d4cfcd7e",
        "gpt2": "607a30d783dfa663caf39e06633721c8d4cfcd7e",
        "transfo-xl/transfo-xl-wt103": "40a186da79458c9f9de846edfaea79c412137f97",
        "transfo-xl-wt103": "40a186da79458c9f9de846edfaea79c412137f97",
    }
