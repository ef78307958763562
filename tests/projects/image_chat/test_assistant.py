"""An assistant that sees: a conversation with an image, and captions for two."""

import numpy as np
import pytest

pytest.importorskip("PIL", reason="image processors need pillow: pip install pillow")
pytestmark = pytest.mark.hf_model("./model")
STRIPES = np.zeros((24, 24, 3), np.uint8)
STRIPES[:, ::4, 0], STRIPES[:, 1::4, 2] = 200, 120
MESSAGES = [
    {
        "role": "user",
        "content": [{"type": "image", "image": STRIPES}, {"type": "text", "text": "what is in my house ?"}],
    }
]


def test_reply(hf_model, hf_snapshot):
    assert hf_model.chat(MESSAGES, max_new_tokens=6) == hf_snapshot


def test_captions(hf_model, hf_snapshot):
    prompts = ["<image> is a small cat", "my dog in <image>"]

    assert hf_model.generate(prompts, images=[STRIPES, STRIPES.transpose(1, 0, 2)], max_new_tokens=6) == hf_snapshot
