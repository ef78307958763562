"""Reads what a test gives to `handle.generate` and `handle.chat`, and generates from it. For `handle` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_hfmodels.engines.settings import wanted_length
from pytest_hfmodels.kinds import BatchRecord, ChatRecord, CheckpointSeen, GenerationRecord, observe_generation
from pytest_hfmodels.kinds.chat.template import Conversation, renderer_of
from pytest_hfmodels.kinds.generation.media import (
    media_refused,
    of_a_processor,
    require_main_input,
    require_plain_text,
    separate,
)
from pytest_hfmodels.kinds.generation.prompts import read_media_prompts, read_prompts
from pytest_hfmodels.kinds.prompt import require_room, require_tokenizer
from pytest_hfmodels.models.settings import (
    refused_named,
    require_flag,
    require_one,
    unknown_named,
    with_pad,
    with_tokenizer,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_hfmodels.engines import Generation
    from pytest_hfmodels.engines.base import IntArray
    from pytest_hfmodels.kinds.generation.prompts import Prompts
    from pytest_hfmodels.models.cached_model import CachedModel


def generated(
    entry: CachedModel,
    given: Mapping[str, Any],
    rate: int | None,
    special: dict[str, Any],
    settings: Mapping[str, Any],
) -> GenerationRecord | BatchRecord:
    """Return the record of one prompt, or of a batch.

    Args:
        entry: the model.
        given: `prompt`, `images` and `audio` as the test gives them.
        rate: the sampling rate of the sounds.
        special: `skip_special_tokens` and `add_special_tokens`.
        settings: of the library's `generate`, arrays for the model included.

    Raises:
        EngineError: see `HFModel.generate`.
    """
    require_tokenizer(entry.tokenizer, entry.checkpoint.name)
    chosen, direct = separate(settings, entry.loaded.model)
    prompts = _prompts(entry, given, rate, direct, special["add_special_tokens"])
    if not prompts.one:
        require_one(chosen)
    rows = _observed(entry, prompts, chosen, special)
    return rows[0] if prompts.one and len(rows) == 1 else BatchRecord.of(rows)


def chatted(
    entry: CachedModel,
    conversation: Conversation,
    rate: int | None,
    skip_special_tokens: bool,
    settings: Mapping[str, Any],
) -> ChatRecord:
    """Return the record of the reply to a conversation; arguments as for `generated`.

    Raises:
        EngineError: see `HFModel.chat`.
    """
    config, name = entry.loaded.model.config, entry.checkpoint.name
    require_tokenizer(entry.tokenizer, name)
    media, renderer = conversation.media(), renderer_of(entry.processor, entry.tokenizer)
    text = conversation.render(renderer, name)
    special = {"skip_special_tokens": skip_special_tokens, "add_special_tokens": False}  # the template writes them
    if media:
        given = {"text": text, **media}
        prompts = read_media_prompts(given, rate, {}, entry.processor, entry.tokenizer, entry.loaded)
    else:
        prompts = read_prompts(text, entry.tokenizer, config, name=name, add_special_tokens=False)
    (row,) = _observed(entry, prompts, settings, special)
    return ChatRecord.of(row, conversation, renderer, entry.tokenizer)


def generated_batch(entry: CachedModel, ids: IntArray, settings: Mapping[str, Any]) -> Generation:
    """Run the library's `generate` once over rows of ids (B, L) int64 without padding.

    Raises:
        EngineError: they do not fit the model, or the release does not know a setting.
    """
    loaded = entry.loaded
    require_room(loaded.model, ids.shape[1], wanted_length(settings, ids.shape[1]))
    with unknown_named(loaded.model, settings):
        asked = with_pad(loaded.model.generation_config, with_tokenizer(entry.tokenizer, settings))
        return loaded.generate(ids, None, asked)


def _prompts(
    entry: CachedModel,
    given: Mapping[str, Any],
    rate: int | None,
    direct: Mapping[str, Any],
    add_special_tokens: bool | None,
) -> Prompts:
    """Return the prompts of a test, read by the tokenizer or by the processor."""
    prompt = given["prompt"]
    named = {"encoded" if of_a_processor(prompt) else "text": prompt, **given}
    named = {name: value for name, value in named.items() if value is not None and name != "prompt"}
    if direct or named.keys() != {"text"}:
        require_plain_text(named, add_special_tokens)
        return read_media_prompts(named, rate, direct, entry.processor, entry.tokenizer, entry.loaded)
    config, name = entry.loaded.model.config, entry.checkpoint.name
    require_main_input(entry.loaded.model, name)
    return read_prompts(prompt, entry.tokenizer, config, name=name, add_special_tokens=add_special_tokens)


def _observed(
    entry: CachedModel, prompts: Prompts, settings: Mapping[str, Any], special: dict[str, Any]
) -> tuple[GenerationRecord, ...]:
    require_flag(special["skip_special_tokens"], "skip_special_tokens")

    def observe(settings: Mapping[str, Any]) -> tuple[GenerationRecord, ...]:
        return observe_generation(
            CheckpointSeen.of(entry.checkpoint),
            entry.loaded,
            entry.tokenizer,
            prompts.rows,
            with_pad(entry.loaded.model.generation_config, with_tokenizer(entry.tokenizer, settings)),
            **special,
            media=prompts.media,
            origin=entry,
        )

    with (
        refused_named(settings, lambda: observe({"max_new_tokens": 1})),
        media_refused(entry.loaded, prompts.media),
        unknown_named(entry.loaded.model, settings),
    ):
        return observe(settings)
