"""A chat model, its template and a tool."""

import pytest

pytestmark = pytest.mark.hf_model("./model")

MESSAGES = [{"role": "system", "content": "You are small."}, {"role": "user", "content": "How do I reset my password?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "reset",
        "description": "Setzt das Kennwort zurück",
        "parameters": {"type": "object", "properties": {"name": {"type": "string", "description": "whose"}}},
    },
}


def test_reply(hf_model, hf_snapshot):
    assert hf_model.chat(MESSAGES, max_new_tokens=8) == hf_snapshot


def test_tool(hf_model, hf_snapshot):
    assert hf_model.chat(MESSAGES[1:], tools=[TOOL], max_new_tokens=4) == hf_snapshot


def test_two_conversations(hf_model, hf_snapshot):
    record = hf_model.generate(["My name is the cat.", "We reset a small house in blue."], max_new_tokens=6)

    assert record == hf_snapshot
