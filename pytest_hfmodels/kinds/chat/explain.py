"""Why a conversation is rendered otherwise: the test, the checkpoint's template, or the release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_hfmodels.explain import stages
from pytest_hfmodels.kinds.chat.kind import RENDERED
from pytest_hfmodels.kinds.chat.template import renderer_of
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
            return stages.of_the_test(case, f"the test gives different {first.what}")
        return _rendering(case)


def _rendering(case: Case[Any]) -> Explanation:
    recorded, observed = case.recorded, case.observed
    texts = recorded.prompt.text, observed.prompt.text
    split = common_prefix(*texts)
    before, now = (repr(text[max(0, split - _AROUND) : split + _AROUND]) for text in texts)
    evidence = [Evidence(f"rendered: {before} -> {now}", {"position": split})]
    said = "the same messages and chat template render to a different text"
    found = case.because("chat-template", said, evidence, package="transformers")
    if recorded.template != observed.template:
        said = "the checkpoint's chat template differs from the recorded one (different digest)"
        found = case.of_files("chat-template", said, evidence)
    elif stages.same_files(case, "tokenizer") is None:
        said = f"{said}. For an adopted tokenizer a snapshot records only the vocabulary, so the reason is unknown"
        found = case.because(None, said, evidence)
    elif not stages.same_files(case, "tokenizer"):
        said = "the chat template is the recorded one, but the checkpoint's tokenizer files, with the special tokens "
        found = case.of_files("tokenizer", f"{said}that it writes, have changed", evidence)
    origin, conversation = case.origin, observed.conversation
    joint = origin is not None and renderer_of(origin.processor, origin.tokenizer) is not origin.tokenizer
    give = None if conversation is None else conversation.render
    return stages.unless_changed(case, found, "preprocessor" if joint else "tokenizer", give, texts)


EXPLAINER = _Chat()
