"""Images, made on the spot as arrays: red and blue stripes, and a gradient."""

import numpy as np
import pytest

pytest.importorskip("PIL", reason="image processors need pillow: pip install pillow")
pytestmark = pytest.mark.hf_model("./model")
ROWS = np.arange(24)
STRIPES = np.zeros((24, 24, 3), np.uint8)
STRIPES[:, ::4, 0], STRIPES[:, 1::4, 2] = 200, 120
SHADES = np.broadcast_to((10 * ROWS).astype(np.uint8)[:, None, None], (24, 24, 3))


def test_labels(hf_model, hf_snapshot):
    assert hf_model.classify([STRIPES, SHADES]) == hf_snapshot


def test_outputs(hf_model, hf_snapshot):
    assert hf_model.observe(images=STRIPES, labels=[1], gradients=True) == hf_snapshot
