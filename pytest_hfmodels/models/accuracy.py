"""Asks a model rows with known answers, for `handle.accuracy`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.errors import EngineError
from pytest_hfmodels.kinds.accuracy.record import AccuracyRecord
from pytest_hfmodels.kinds.batch.record import rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_hfmodels.kinds import Record
    from pytest_hfmodels.kinds.accuracy.record import Row
    from pytest_hfmodels.models.handle import HFModel

    Answer = tuple[Record, str, bool]

_BATCH = 16


def media_of_rows(model: HFModel) -> str:
    """Return what the rows of a model hold: `image`, `audio`, or an empty string for text.

    Raises:
        EngineError: accuracy() does not support the model's task.
    """
    if model.task not in _ASK:
        raise EngineError(
            f"accuracy() does not know the task of {model.checkpoint.name}, {model.task}.",
            hint=f"It takes models for {', '.join(_ASK)}.",
        )
    return _MEDIA.get(model.task, "")


def observe_accuracy(model: HFModel, rows: Sequence[Row], may_fall: Any, settings: Mapping[str, Any]) -> AccuracyRecord:
    """Ask a model all rows and return which of them it answers wrongly.

    Args:
        model: whose task `media_of_rows` accepts.
        rows: at least one.
        may_fall: by how much the accuracy may fall, 0 to 1.
        settings: of `generate`, for rows without choices, or of `classify`.

    Raises:
        EngineError: the model lacks a label or has several of one name, or `may_fall` is not valid.
    """
    if isinstance(may_fall, bool) or not isinstance(may_fall, int | float) or not 0 <= may_fall <= 1:
        raise EngineError(f"may_fall is {may_fall!r:.40}.", hint="It is a part of the rows, 0 to 1: may_fall=0.01.")
    found = list(_ASK[model.task](model, rows, settings))
    seen = list({id(record): record for record, _, _ in found}.values())  # a batch has several answers
    seen = [*_over_the_right_answer(model, rows[0]), *seen]
    return AccuracyRecord.of(seen, rows, [(answer, right) for _, answer, right in found], float(may_fall))


def _over_the_right_answer(model: HFModel, row: Row) -> Iterator[Record]:
    """Yield a forward pass over a row and its right answer if the model generates; what it answers does not matter."""
    if model.task in _OF_TEXT and not row.choices:
        with suppress(EngineError):  # the two may be too long for the model
            yield model.score([(row.text, row.label)])


def _classified(model: HFModel, rows: Sequence[Row], settings: Mapping[str, Any]) -> Iterator[Answer]:
    names = {str(index): str(name) for index, name in model.config.id2label.items()}
    for row in rows:
        if _expected(row, names) is None:
            raise EngineError(
                f"{model.checkpoint.name} has no label {row.label!r:.40}.",
                hint=f"It has {', '.join(names.values())}.",
            )
        _require_one_index(model, row, names)
    media = model.task in _MEDIA
    size = _BATCH if media or getattr(model.config, "pad_token_id", None) is not None else 1
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        record = model.classify([row.media if media else row.text for row in batch], **settings)
        for row, answer in zip(batch, record.labels, strict=True):
            yield record, answer, answer == _expected(row, names)


def _require_one_index(model: HFModel, row: Row, names: Mapping[str, str]) -> None:
    """Refuse a row whose right answer is the name of several labels: answers are compared by name."""
    name = _expected(row, names)
    several = [index for index, other in names.items() if other == name]
    if len(several) > 1:
        raise EngineError(
            f"{model.checkpoint.name} calls {len(several)} labels {name!r:.40}: {', '.join(several)}.",
            hint="accuracy() needs one name per label: change id2label in the checkpoint's config.json.",
        )


def _expected(row: Row, names: Mapping[str, str]) -> str | None:
    """Return the name of a row's label: a number is an index, a text a name or else an index; None for none."""
    return row.label if row.label in names.values() and not row.is_index else names.get(row.label)


def _continued(model: HFModel, rows: Sequence[Row], settings: Mapping[str, Any]) -> Iterator[Answer]:
    for row in rows:
        if row.choices:
            scored = model.score([(row.text, choice) for choice in row.choices])
            answer = row.choices[max(range(len(row.choices)), key=scored.total.__getitem__)]
            yield scored, answer, answer == row.label
        else:
            record = model.generate(row.text, **{"max_new_tokens": 32, **settings})
            answer = model.tokenizer.decode(list(record.ids), skip_special_tokens=True).strip()
            yield record, answer, answer.startswith(row.label.strip())


def _transcribed(model: HFModel, rows: Sequence[Row], settings: Mapping[str, Any]) -> Iterator[Answer]:
    for row in rows:
        record = model.generate(audio=row.media, **settings)
        windows = rows_of(record)
        decoded = (model.tokenizer.decode(list(one.ids), skip_special_tokens=True) for one in windows)
        answer = " ".join("".join(decoded).split())
        yield record, answer, answer.startswith(row.label.strip())


_MEDIA = {"image-classification": "image", "audio-classification": "audio", "automatic-speech-recognition": "audio"}
_OF_TEXT = ("text-generation", "text2text-generation")
_ASK = {
    **dict.fromkeys(("text-classification", "image-classification", "audio-classification"), _classified),
    "automatic-speech-recognition": _transcribed,
    **dict.fromkeys(_OF_TEXT, _continued),
}
