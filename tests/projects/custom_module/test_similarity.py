"""A module of the project's own, which no task of the Hub has: adopted, and observed with its own inputs."""

import pytest
import torch
from transformers import AutoModel


class Similarity(torch.nn.Module):
    """Compares the pooled outputs of two texts."""

    def __init__(self, folder):
        super().__init__()
        self.encoder = AutoModel.from_pretrained(folder, attn_implementation="eager")

    def forward(self, first, second):
        pooled = [self.encoder(input_ids=ids).pooler_output for ids in (first, second)]
        return {
            "cosine": torch.nn.functional.cosine_similarity(*pooled),
            "pooled": {"first": pooled[0], "second": pooled[1]},
        }


@pytest.fixture
def model(hf_models):
    return hf_models.adopt(Similarity("./model").eval(), name="similarity")


def test_outputs(model, hf_snapshot):
    assert model.observe(first=[[2, 6, 18, 9, 20, 3]], second=[[2, 4, 19, 3]]) == hf_snapshot
