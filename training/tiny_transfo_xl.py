"""Train the bundled checkpoint `tiny-transfo-xl` and check that it is good enough.

The command: `python training/tiny_transfo_xl.py [--output DIR]`. See README.md beside it.
"""

import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Before transformers is imported: 4.x would otherwise import TensorFlow as well.
os.environ["USE_TF"] = "0"

import torch
from corpus import TOPICS, Example
from recipe import rate, run, topic_loss
from safetensors.torch import save_file
from stories import Sentence, renamed_examples, stories
from tokenizer import write_json
from torch import Tensor
from torch.nn import functional
from words import count_words, encode, frequent_words, write_words
from xl_report import report_all

from pytest_hfmodels.transfo_xl import TransfoXLConfig, TransfoXLLMHeadModel, blank_memory

SEED = 1
STEPS = 1400
THREADS = 1  # so small a model gains nothing from a second
STORIES = 50_000
EXAMPLES = 40_000
ROWS = 16  # stretches of stories that are read side by side
TEXTS = 32  # classifier's texts, every EVERY steps
EVERY = 4
PEAK_RATE = 3e-3
WARM_UP = 100
ANSWER_WEIGHT = 10.0  # answers are one word in forty, and what the memory is for

VOCABULARY = 1000
SEGMENT = 64
SEGMENTS = 4  # of a stretch, through which memory is carried
MEMORY = 64
WIDTH = 96

# Dropout is off: training sees a story less than three times, so there is little to learn by heart.
CONFIG: dict[str, Any] = {
    "adaptive": True,
    "architectures": ["TransfoXLLMHeadModel"],
    "attn_type": 0,
    "clamp_len": -1,
    "cutoffs": [200, 500],
    "d_embed": WIDTH,
    "d_head": 24,
    "d_inner": 256,
    "d_model": WIDTH,
    "div_val": 2,
    "dropatt": 0.0,
    "dropout": 0.0,
    "eos_token_id": 0,
    "id2label": {str(i): topic for i, topic in enumerate(TOPICS)},
    "init": "normal",
    "init_range": 0.01,
    "init_std": 0.02,
    "label2id": {topic: i for i, topic in enumerate(TOPICS)},
    "layer_norm_epsilon": 1e-05,
    "mem_len": MEMORY,
    "model_type": "transfo-xl",
    "n_head": 4,
    "n_layer": 3,
    "pad_token_id": None,
    "pre_lnorm": False,
    "proj_init_std": 0.1,
    "proj_share_all_but_first": True,
    "same_length": False,
    "sample_softmax": -1,
    "tie_projs": [False, True, True],
    "tie_word_embeddings": True,
    "untie_r": True,
    "vocab_size": VOCABULARY,
}


@dataclass(frozen=True)
class Stretches:
    """Stories in a row: `ids` and `weights` are (stretches, words), one word more than the segments have."""

    ids: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Labelled:
    """Encoded texts for the classifier.

    `ids` is (texts, length), padded on the right; `last` is (texts,), the position of
    each text's last word; `labels` is (texts, topics), float, 1.0 where a topic is in.
    """

    ids: Tensor
    last: Tensor
    labels: Tensor


def encode_story(sentences: Sequence[Sentence], ids: dict[str, int]) -> tuple[list[int], list[float]]:
    """Return a story's ids, its end included, and how much each counts in the loss."""
    words: list[int] = []
    weights: list[float] = []
    for sentence in sentences:
        encoded = encode(sentence.text, ids)
        answer = ids.get(sentence.answer)
        words += encoded
        weights += [ANSWER_WEIGHT if word == answer else 1.0 for word in encoded]
    return [*words, 0], [*weights, 1.0]


def pack(told: Sequence[Sequence[Sentence]], ids: dict[str, int]) -> Stretches:
    """Put stories in rows; every row opens with the opening of a story.

    A prompt stands at position 0 without a word before it, so rows do as well.
    """
    length = SEGMENT * SEGMENTS + 1
    rows: list[list[int]] = []
    weights: list[list[float]] = []
    row: list[int] = []
    weight: list[float] = []
    for sentences in told:
        words, count = encode_story(sentences, ids)
        row, weight = row + words, weight + count
        if len(row) >= length:
            rows.append(row[:length])
            weights.append(weight[:length])
            row, weight = [], []
    return Stretches(torch.tensor(rows), torch.tensor(weights))


def label(batch: Sequence[Example], ids: dict[str, int]) -> Labelled:
    """Encode labelled texts."""
    encoded = [encode(example.text, ids) for example in batch]
    length = max(len(words) for words in encoded)
    padded = [words + [0] * (length - len(words)) for words in encoded]
    labels = [[float(topic in e.topics) for topic in TOPICS] for e in batch]
    last = torch.tensor([len(words) - 1 for words in encoded])
    return Labelled(torch.tensor(padded), last, torch.tensor(labels))


def classify(model: TransfoXLLMHeadModel, head: torch.nn.Linear, texts: Labelled) -> Tensor:
    """Return (texts, topics) logits, read off each text's last word as upstream does.

    A word sees none after it, so padding on the right changes nothing.
    """
    hidden = model.transformer(texts.ids).last_hidden_state
    logits: Tensor = head(hidden[torch.arange(len(texts.last)), texts.last])
    return logits


def language_losses(model: TransfoXLLMHeadModel, stretches: Stretches, *, blank: int) -> Iterator[tuple[Tensor, float]]:
    """Yield loss and recall of one segment after the other, with the memory carried on.

    The loss is the weighted mean in nats; the recall is the share of answers that were the likeliest word.

    Args:
        model: the language model; it may be trained between one segment and the next.
        stretches: what to read.
        blank: words of blank memory to begin with.
    """
    mems = blank_memory(model.config, blank, len(stretches.ids), like=stretches.weights)
    for start in range(0, SEGMENT * SEGMENTS, SEGMENT):
        words = stretches.ids[:, start : start + SEGMENT]
        after = stretches.ids[:, start + 1 : start + SEGMENT + 1]
        weights = stretches.weights[:, start + 1 : start + SEGMENT + 1]
        output = model.transformer(words, mems=mems)
        mems = output.mems
        scores = model.crit(output.last_hidden_state)
        losses = functional.nll_loss(scores.flatten(0, 1), after.flatten(), reduction="none")
        recalled = (scores.argmax(dim=2) == after)[weights > 1].float().mean().item()
        yield (losses * weights.flatten()).sum() / weights.sum(), recalled


def losses_forever(
    model: TransfoXLLMHeadModel, stretches: Stretches, order: random.Random
) -> Iterator[tuple[Tensor, float]]:
    """Yield loss and recall of segments of stretches drawn at random, half of them read from a memory without any word.

    The published way to begin is with blank memory; texts read in segments can be compared with one pass only
    when they begin without.
    """
    count = len(stretches.ids)
    blank = MEMORY
    while True:
        chosen = order.sample(range(count), ROWS)
        yield from language_losses(model, Stretches(stretches.ids[chosen], stretches.weights[chosen]), blank=blank)
        blank = MEMORY - blank


def train(
    model: TransfoXLLMHeadModel,
    head: torch.nn.Linear,
    stretches: Stretches,
    texts: Sequence[Example],
    ids: dict[str, int],
    steps: int,
) -> None:
    """Train the language model and the classifier's head together, in place.

    Together, so that a last word's state carries the text's topics as well as the next
    word, and the language model and the classifier share one backbone.
    """
    parameters = [*model.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=PEAK_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: rate(s, steps, WARM_UP))
    order = random.Random(SEED)
    segments = losses_forever(model, stretches, random.Random(SEED))
    start = time.monotonic()
    for step in range(steps):
        language, recall = next(segments)
        optimizer.zero_grad()
        torch.autograd.backward(language)
        if step % EVERY == 0:
            batch = label(order.sample(texts, TEXTS), ids)
            topics = topic_loss(classify(model, head, batch), batch.labels)
            torch.autograd.backward(topics)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == steps - 1:
            print(
                f"step {step:5d}  language {language.item():.4f}  recall {recall:.2f}  "
                f"topics {topics.item():.4f}  {time.monotonic() - start:.0f} s",
                flush=True,
            )


def save(model: TransfoXLLMHeadModel, head: torch.nn.Linear, folder: Path) -> None:
    """Write the configuration and the weights, all of them by name as published checkpoints do.

    Tied tensors are written once for each name: upstream ties them again after loading.
    """
    tensors = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    tensors["score.weight"] = head.weight.detach()
    weights = folder / "model.safetensors"
    save_file(tensors, weights, metadata={"format": "pt"})
    weights.chmod(0o644)  # safetensors lets nobody but the owner read it
    write_json(folder / "config.json", CONFIG)
    write_json(folder / "generation_config.json", {"eos_token_id": 0})


def build(folder: Path, steps: int) -> None:
    """Train everything and write the checkpoint into the folder."""
    told = list(stories(SEED, STORIES))
    counts = count_words(sentence.text for sentences in told for sentence in sentences)
    words = frequent_words(counts, VOCABULARY)
    write_words(words, MEMORY, folder)
    ids = {word: place for place, word in enumerate(words)}
    stretches = pack(told, ids)
    print(f"{len(counts)} words, {len(told)} stories in {len(stretches.ids)} stretches of {SEGMENT * SEGMENTS} words")
    torch.manual_seed(SEED)
    model = TransfoXLLMHeadModel(TransfoXLConfig(**CONFIG)).train()
    head = torch.nn.Linear(WIDTH, len(TOPICS), bias=False)
    train(model, head, stretches, list(renamed_examples(SEED, EXAMPLES)), ids, steps)
    save(model, head, folder)


if __name__ == "__main__":
    sys.exit(run("tiny-transfo-xl", build, report_all, about=__doc__, steps=STEPS, threads=THREADS))
