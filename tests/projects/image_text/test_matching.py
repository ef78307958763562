"""Which text fits an image: a model of images and texts, through its joint processor."""

import numpy as np
import pytest

pytest.importorskip("PIL", reason="image processors need pillow: pip install pillow")
pytestmark = pytest.mark.hf_model("./model")
STRIPES = np.zeros((24, 24, 3), np.uint8)
STRIPES[:, ::4, 0], STRIPES[:, 1::4, 2] = 200, 120


def test_matching(hf_model, hf_snapshot):
    texts = ["a red cat </s>", "my small house </s>"]

    assert hf_model.observe(images=STRIPES, text=texts) == hf_snapshot
