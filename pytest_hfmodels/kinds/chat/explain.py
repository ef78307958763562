"""Why a conversation is rendered otherwise: the test, the checkpoint's template, or the release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_hfmodels.explain import mutations
from pytest_hfmodels.kinds.chat.kind import RENDERED
from pytest_hfmodels.kinds.comparison import common_prefix
from pytest_hfmodels.kinds.explanation import Evidence
from pytest_hfmodels.kinds.generation.explain import GenerationExplainer

if TYPE_CHECKING:
    from pytest_hfmodels.explain.case import Case
    from pytest_hfmodels.kinds.explanation import Explanation

_AROUND = 40  # characters


class _Chat(GenerationExplainer):
    def output(self, case: Case[Any]) -> Explanation:
        first = case.comparison.differences[0]
        if first.stage != "template":
            return super().output(case)
        if first.what != RENDERED:
            return case.because("test", f"the {first.what} that the test gives differ from the recorded ones")
        return _rendering(case)


def _rendering(case: Case[Any]) -> Explanation:
    recorded, observed = case.recorded, case.observed
    texts = recorded.prompt.text, observed.prompt.text
    split = common_prefix(*texts)
    before, now = (repr(text[max(0, split - _AROUND) : split + _AROUND]) for text in texts)
    evidence = [Evidence(f"rendered: {before} -> {now}", {"position": split})]
    conversation = observed.conversation
    changes = mutations.of_the_tokenizer(case.origin)
    if conversation is not None and mutations.is_proven_by_fresh_tokenizer(case.origin, conversation.render, texts):
        said = mutations.sentence(changes, "tokenizer")
        return case.because("test", said, evidence)
    if recorded.template != observed.template:
        said = "the checkpoint's chat template differs from the recorded one (another digest)"
        return case.because("checkpoint:chat-template", said, evidence)
    if recorded.checkpoint.tokenizer != observed.checkpoint.tokenizer:
        said = "the chat template is the recorded one, but the checkpoint's tokenizer files, with the special tokens "
        return case.because("checkpoint:tokenizer", f"{said}that it writes, have changed", evidence)
    if changes and not case.changed_packages():
        return case.because("test", mutations.sentence(changes, "tokenizer"), evidence)
    said = "the same messages and the same chat template are rendered to another text"
    return case.because("chat-template", said, evidence, package="transformers")


EXPLAINER = _Chat()
