"""Train the bundled checkpoint `tiny-gpt2` and check that it is good enough.

The command: `python training/tiny_gpt2.py [--output DIR]`. See README.md beside it.
"""

import hashlib
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Before transformers is imported: 4.x would otherwise import TensorFlow as well.
os.environ["USE_TF"] = "0"

import torch
from corpus import KNOWN, TOPICS, Example, documents, examples
from recipe import Report, rate, run, topic_loss
from safetensors.torch import save_file
from search import Search, loop_length, strange_pairs, word_pairs
from tokenizer import train_tokenizer, write_json
from torch import Tensor
from torch.nn import functional
from transformers import (
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    GPT2TokenizerFast,
)

SEED = 1
STEPS = 1200
THREADS = 2
DOCUMENTS = 40_000
EXAMPLES = 40_000
HELD_OUT = 4_000
ROWS = 32  # documents' rows a step
TEXTS = 48  # classifier's texts a step
PEAK_RATE = 3e-3
WARM_UP = 60

VOCABULARY = 1024
POSITIONS = 128
END = VOCABULARY - 1
MAX_BYTES = 2_000_000
LENGTH = 50  # of a continuation, the prompt included
BEAMS = 5
GREEDY_MARGIN = 0.05
BEAM_GAP = 1e-3  # two engines differ by about 1e-5
PROMPT = "My name is Hasnain and I am a software engineer."

# GPT-2's own values, but for the sizes and dropout: training sees a row less than twice
# on average, so there is little to learn by heart.
CONFIG = {
    "activation_function": "gelu_new",
    "architectures": ["GPT2LMHeadModel"],
    "attn_pdrop": 0.0,
    "bos_token_id": END,
    "embd_pdrop": 0.0,
    "eos_token_id": END,
    "id2label": {str(i): topic for i, topic in enumerate(TOPICS)},
    "initializer_range": 0.02,
    "label2id": {topic: i for i, topic in enumerate(TOPICS)},
    "layer_norm_epsilon": 1e-05,
    "model_type": "gpt2",
    "n_ctx": POSITIONS,
    "n_embd": 96,
    "n_head": 4,
    "n_inner": None,
    "n_layer": 3,
    "n_positions": POSITIONS,
    "reorder_and_upcast_attn": False,
    "resid_pdrop": 0.0,
    "scale_attn_by_inverse_layer_idx": False,
    "scale_attn_weights": True,
    "tie_word_embeddings": True,
    "use_cache": True,
    "vocab_size": VOCABULARY,
}

FIXED: dict[str, tuple[str, ...]] = {
    **KNOWN,
    "I was going with my dog to the river when it started to snow.": ("animals", "outing", "weather"),
}


@dataclass(frozen=True)
class Labelled:
    """Tokenized texts for the classifier.

    `ids` is (texts, length), padded on the right; `last` is (texts,), the position of
    each text's last token; `labels` is (texts, topics), float, 1.0 where a topic is in.
    """

    ids: Tensor
    last: Tensor
    labels: Tensor


def pack(texts: Sequence[str], tokenizer: GPT2TokenizerFast) -> Tensor:
    """Return (rows, positions) ids; every row opens with the opening of a document.

    A prompt stands at position 0 without a token before it, so rows do as well.
    """
    rows: list[list[int]] = []
    row: list[int] = []
    for text in texts:
        row += [*tokenizer.encode(text), END]
        if len(row) >= POSITIONS:
            rows.append(row[:POSITIONS])
            row = []
    return torch.tensor(rows)


def label(batch: Sequence[Example], tokenizer: GPT2TokenizerFast) -> Labelled:
    """Tokenize labelled texts."""
    encoded = [tokenizer.encode(example.text) for example in batch]
    length = max(len(ids) for ids in encoded)
    padded = [ids + [END] * (length - len(ids)) for ids in encoded]
    labels = [[float(topic in e.topics) for topic in TOPICS] for e in batch]
    last = torch.tensor([len(ids) - 1 for ids in encoded])
    return Labelled(torch.tensor(padded), last, torch.tensor(labels))


def classify(model: GPT2LMHeadModel, head: torch.nn.Linear, texts: Labelled) -> Tensor:
    """Return (texts, topics) logits, read off each text's last token as upstream does.

    Attention is causal, so padding on the right needs no mask.
    """
    hidden = model.transformer(texts.ids).last_hidden_state
    logits: Tensor = head(hidden[torch.arange(len(texts.last)), texts.last])
    return logits


def language_loss(model: GPT2LMHeadModel, rows: Tensor) -> Tensor:
    """Return the mean next-token cross-entropy in nats."""
    logits = model(rows).logits[:, :-1]
    return functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())


def train(
    model: GPT2LMHeadModel,
    head: torch.nn.Linear,
    rows: Tensor,
    texts: Sequence[Example],
    tokenizer: GPT2TokenizerFast,
    steps: int,
) -> None:
    """Train the language model and the classifier's head together, in place.

    Together, so that a last token's state carries the text's topics as well as the next
    token, and the language model and the classifier share one backbone.
    """
    parameters = [*model.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=PEAK_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: rate(s, steps, WARM_UP))
    order = random.Random(SEED)
    start = time.monotonic()
    for step in range(steps):
        chosen = rows[order.sample(range(len(rows)), ROWS)]
        batch = label(order.sample(texts, TEXTS), tokenizer)
        language = language_loss(model, chosen)
        topics = topic_loss(classify(model, head, batch), batch.labels)
        optimizer.zero_grad()
        torch.autograd.backward(language + topics)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == steps - 1:
            print(
                f"step {step:5d}  language {language.item():.4f}  "
                f"topics {topics.item():.4f}  {time.monotonic() - start:.0f} s",
                flush=True,
            )


def save(model: GPT2LMHeadModel, head: torch.nn.Linear, folder: Path) -> None:
    """Write the configuration and the weights; the tied language head is left out."""
    tensors = {f"transformer.{name}": parameter.detach() for name, parameter in model.transformer.named_parameters()}
    tensors["score.weight"] = head.weight.detach()
    weights = folder / "model.safetensors"
    save_file(tensors, weights, metadata={"format": "pt"})
    weights.chmod(0o644)  # safetensors lets nobody but the owner read it
    write_json(folder / "config.json", CONFIG)
    generation = {"bos_token_id": END, "eos_token_id": END}
    write_json(folder / "generation_config.json", generation)


def build(folder: Path, steps: int) -> None:
    """Train everything and write the checkpoint into the folder."""
    texts = list(documents(SEED, DOCUMENTS))
    train_tokenizer(texts, VOCABULARY, POSITIONS, folder)
    write_json(folder / "config.json", CONFIG)
    tokenizer = GPT2TokenizerFast.from_pretrained(folder)
    rows = pack(texts, tokenizer)
    print(f"{len(texts)} documents in {len(rows)} rows of {POSITIONS} tokens")
    torch.manual_seed(SEED)
    model = GPT2LMHeadModel(GPT2Config(**CONFIG)).train()
    head = torch.nn.Linear(model.config.n_embd, len(TOPICS), bias=False)
    train(model, head, rows, list(examples(SEED, EXAMPLES)), tokenizer, steps)
    save(model, head, folder)


@torch.no_grad()
def next_scores(model: GPT2LMHeadModel, sequences: Sequence[list[int]]) -> Tensor:
    """Return (sequences, vocabulary) log-probabilities of the next token."""
    logits = model(torch.tensor(sequences)).logits[:, -1]
    return functional.log_softmax(logits, dim=-1)


def upstream(model: GPT2LMHeadModel, prompt: list[int], **settings: int | bool) -> list[list[int]]:
    """Return what the installed transformers release generates."""
    ids = torch.tensor([prompt])
    found: Tensor = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_length=LENGTH,
        do_sample=False,
        pad_token_id=END,
        **settings,
    )
    rows: list[list[int]] = found.tolist()
    return [row[: row.index(END) + 1] if END in row else row for row in rows]


def report_generation(report: Report, folder: Path) -> None:
    """Check the continuations of the prompt: texts and margins."""
    tokenizer = GPT2TokenizerFast.from_pretrained(folder)
    model = GPT2LMHeadModel.from_pretrained(folder, attn_implementation="eager").eval()
    prompt = tokenizer.encode(PROMPT)
    print(f"prompt: {len(prompt)} tokens {tokenizer.convert_ids_to_tokens(prompt)}")
    search = Search(lambda sequences: next_scores(model, sequences), LENGTH, END, BEAMS)
    loop, loop_margin = search.greedy(prompt, blocked=False)
    plain, plain_margin = search.greedy(prompt, blocked=True)
    beams, gaps = search.beam(prompt)
    texts = {
        "greedy": tokenizer.decode(loop),
        "greedy, no pair twice": tokenizer.decode(plain),
        **{f"beam {i}": tokenizer.decode(b.ids) for i, b in enumerate(beams)},
    }
    known = set[tuple[str, str]]().union(*map(word_pairs, documents(SEED, DOCUMENTS)))
    for name, text in texts.items():
        print(f"{name}:\n       {text!r}")
        strange = strange_pairs(text, known)
        report.check(not strange, f"word pairs unknown to the corpus: {strange}")
    report.check(bool(loop_length(loop)), f"greedy repeats {loop_length(loop)} tokens")
    report.check(not loop_length(plain), "blocked greedy does not repeat")
    report.check(END not in loop + plain, "neither ends early")
    report.check(loop_margin >= GREEDY_MARGIN, f"greedy margin {loop_margin:.4f}")
    report.check(plain_margin >= GREEDY_MARGIN, f"blocked margin {plain_margin:.4f}")
    report.check(min(gaps) >= BEAM_GAP, f"beam gap {min(gaps):.5f}")
    report.check(beams[0].ids not in (loop, plain), "the best beam is not greedy")
    report_upstream(report, model, prompt, [loop, plain, *(b.ids for b in beams)])


def report_upstream(report: Report, model: GPT2LMHeadModel, prompt: list[int], ours: list[list[int]]) -> None:
    """Check that the installed release finds what this file's own searches found."""
    searching = {"num_beams": BEAMS, "no_repeat_ngram_size": 2, "early_stopping": True}
    beams = upstream(model, prompt, num_return_sequences=BEAMS, **searching)
    theirs = [
        *upstream(model, prompt),
        *upstream(model, prompt, no_repeat_ngram_size=2),
        *beams,
    ]
    report.check(theirs == ours, "the installed transformers generates the same ids")


@torch.no_grad()
def topic_logits(folder: Path, batch: Sequence[Example]) -> Tensor:
    """Return (texts, topics) logits of upstream's own classifier."""
    model = GPT2ForSequenceClassification.from_pretrained(folder, pad_token_id=END, attn_implementation="eager").eval()
    texts = label(batch, GPT2TokenizerFast.from_pretrained(folder))
    logits: Tensor = model(texts.ids).logits
    return logits


def report_accuracy(report: Report, folder: Path) -> None:
    """Check both readings of the classifier on texts it has not seen."""
    seen = {example.text for example in examples(SEED, EXAMPLES)}
    fresh = [e for e in examples(SEED + 1, HELD_OUT) if e.text not in seen]
    logits = topic_logits(folder, fresh)
    labels = torch.tensor([[topic in e.topics for topic in TOPICS] for e in fresh])
    single = labels.sum(dim=1) == 1
    right = logits[single].argmax(dim=1) == labels[single].int().argmax(dim=1)
    exact = ((logits > 0) == labels).all(dim=1)
    one, several = right.float().mean().item(), exact.float().mean().item()
    report.check(one >= 0.95, f"single-label accuracy {one:.4f} ({len(right)} texts)")
    report.check(several >= 0.9, f"multi-label match {several:.4f} ({len(exact)} texts)")


def report_fixed(report: Report, folder: Path) -> None:
    """Check the decisions on the fixed sentences and how clear they are."""
    for text, topics in FIXED.items():
        logits = topic_logits(folder, [Example(text, frozenset(topics))])[0]
        first, second = logits.topk(2).values.tolist()
        clear = logits.abs().min().item()
        top = TOPICS[int(logits.argmax())]
        found = tuple(TOPICS[i] for i in (logits > 0).nonzero().flatten().tolist())
        report.check(
            found == topics and (top in topics or not topics) and first - second >= 0.5 and clear >= 0.3,
            f"{text!r}: {top} by {first - second:.2f}; {found}, clear by {clear:.2f}",
        )


def report_all(folder: Path) -> list[str]:
    """Print the quality report and return the requirements that do not hold."""
    report = Report()
    weights = (folder / "model.safetensors").read_bytes()
    print(f"model.safetensors: sha256 {hashlib.sha256(weights).hexdigest()}")
    report.check(len(weights) <= MAX_BYTES, f"{len(weights)} bytes of weights")
    report_generation(report, folder)
    report_accuracy(report, folder)
    report_fixed(report, folder)
    return report.failures


if __name__ == "__main__":
    sys.exit(run("tiny-gpt2", build, report_all, about=__doc__, steps=STEPS, threads=THREADS))
