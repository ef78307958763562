"""What a model's reply in a conversation was made from."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_hfmodels.kinds.generation.prompts import decode
from pytest_hfmodels.kinds.generation.record import GenerationRecord

if TYPE_CHECKING:
    from pytest_hfmodels.kinds.chat.template import Conversation


@dataclass(frozen=True, kw_only=True, repr=False)
class ChatRecord(GenerationRecord):
    """What `HFModel.chat` observed. The prompt is the rendered conversation, and `text` is the reply alone.

    The fields that are not listed are those of `GenerationRecord`.

    Args:
        messages: as the test gave them, with digests in place of images and sounds.
        tools: likewise; a function by its name.
        variables: of the template, as the test gave them.
        template: digest of the template's own text; evidence.
        conversation: what is not stored: to render it again.
    """

    kind: ClassVar[str] = "chat"
    messages: tuple[dict[str, Any], ...]
    tools: tuple[Any, ...] = ()
    variables: dict[str, Any] = field(default_factory=dict)
    template: str
    conversation: Conversation | None = field(default=None, compare=False)

    @classmethod
    def of(cls, record: GenerationRecord, conversation: Conversation, renderer: Any, tokenizer: Any) -> ChatRecord:
        """Return the record of a conversation from that of its rendered text."""
        skip = bool(record.effective["skip_special_tokens"])
        own = {one.name: getattr(record, one.name) for one in fields(record)}
        own["text"] = decode(tokenizer, record.ids, skip_special_tokens=skip)
        own["beams"] = tuple(
            replace(beam, text=decode(tokenizer, beam.ids, skip_special_tokens=skip)) for beam in record.beams
        )
        return cls(**own, **conversation.recorded(), template=conversation.digest(renderer), conversation=conversation)

    @property
    def decoded_ids(self) -> tuple[int, ...]:
        """The reply's."""
        return self.ids

    def __repr__(self) -> str:
        return f"<ChatRecord {self.checkpoint.name} on {self.provenance.engine}: {self.text!r}>"
