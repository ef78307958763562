"""A module that no task of the Hub has: adopted, and observed with its own inputs."""

import pytest
from similarity import Similarity


@pytest.fixture
def model(hf_models):
    return hf_models.adopt(Similarity("./model").eval(), name="similarity")


def test_outputs(model, hf_snapshot):
    assert model.observe(first=[[2, 6, 18, 9, 20, 3]], second=[[2, 4, 19, 3]]) == hf_snapshot
