"""The project's own module: how alike are two texts?"""

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
