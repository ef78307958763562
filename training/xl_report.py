"""The quality report of `tiny-transfo-xl`: every requirement, whether it holds, and by how much.

Imported by the training script only.
"""

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path

import torch
from corpus import KNOWN, TOPICS
from recipe import Report
from search import Search, loop_length, strange_pairs, word_pairs
from stories import Fact, draw_facts, filler, renamed_examples, stories
from torch import Tensor
from words import encode

from pytest_hfmodels.transfo_xl import (
    TransfoXLForSequenceClassification,
    TransfoXLLMHeadModel,
    TransfoXLTokenizer,
    blank_memory,
    segment_log_probabilities,
)

SEED = 1000  # of everything held out; the training has another
SEGMENT = 32
MAX_BYTES = 2_500_000
END = 0
LENGTH = 44  # of a continuation, the prompt included
BEAMS = 5
GREEDY_MARGIN = 0.05
BEAM_GAP = 1e-3  # two engines differ by about 1e-5
PROMPT = "My name is Hasnain and I am a software engineer."
FAR_FACTS = 600
HELD_OUT = 4_000

FIXED: dict[str, tuple[str, ...]] = {
    **KNOWN,
    "My dog and I walked to the river under grey clouds.": ("animals", "outing", "weather"),
}

# A text in which the answer lies more than a segment after the fact: what a suite reads.
FAR_FACT = (
    "Sara lives in Lisbon. Omar collects coins. I have been working in a small company for ten years. "
    "The work is hard, but I enjoy it very much. Every morning I meet my team and we plan the day. "
    "Where does Sara live? Sara lives in"
)
FAR_ANSWER = "Lisbon"


def report_all(folder: Path) -> list[str]:
    """Print the quality report and return the requirements that do not hold."""
    report = Report()
    weights = (folder / "model.safetensors").read_bytes()
    print(f"model.safetensors: sha256 {hashlib.sha256(weights).hexdigest()}")
    report.check(len(weights) <= MAX_BYTES, f"{len(weights)} bytes of weights")
    tokenizer = TransfoXLTokenizer.from_pretrained(folder)
    model = TransfoXLLMHeadModel.from_pretrained(folder).eval()
    with torch.no_grad():
        report_words(report, tokenizer)
        report_perplexity(report, model, tokenizer)
        report_far_facts(report, model, tokenizer)
        report_segments(report, model, tokenizer)
        report_generation(report, model, tokenizer)
        report_accuracy(report, folder, tokenizer)
        report_fixed(report, folder, tokenizer)
    return report.failures


def report_words(report: Report, tokenizer: TransfoXLTokenizer) -> None:
    """Check that the fast splitting of the training is the tokenizer's own."""
    vocab = tokenizer.get_vocab()
    texts = [" ".join(sentence.text for sentence in told) for told in stories(SEED, 200)]
    texts += [example.text for example in renamed_examples(SEED, 300)]
    different = [text for text in texts if encode(text, vocab) != tokenizer.encode(text)]
    report.check(not different, f"{len(texts)} texts split as Moses does; not: {different[:1]}")
    report.check(len(vocab) == tokenizer.vocab_size, f"{len(vocab)} words, none added by the tokenizer")


def report_perplexity(report: Report, model: TransfoXLLMHeadModel, tokenizer: TransfoXLTokenizer) -> None:
    """Check that memory makes unseen stories more likely."""
    texts = [" ".join(sentence.text for sentence in told) + " <eos>" for told in stories(SEED, 600)]
    words = tokenizer.encode(" ".join(texts))
    length = 8 * SEGMENT
    rows = torch.tensor(words[: len(words) // length * length]).view(-1, length)
    carried, dropped = (perplexity(model, rows, carry=carry) for carry in (True, False))
    report.check(
        carried < 0.8 * dropped,
        f"held-out perplexity {carried:.3f} with memory, {dropped:.3f} without ({rows.numel()} words)",
    )


def perplexity(model: TransfoXLLMHeadModel, rows: Tensor, *, carry: bool) -> float:
    """Return the perplexity of rows read in segments, of what follows in the same segment."""
    losses, mems = [], None
    for segment in torch.split(rows, SEGMENT, dim=1):
        output = model(segment, mems=mems)
        mems = output.mems if carry else None
        scores = output.prediction_scores[:, :-1]
        losses.append(-scores.gather(2, segment[:, 1:, None]).mean())
    return torch.stack(losses).mean().exp().item()


def report_far_facts(report: Report, model: TransfoXLLMHeadModel, tokenizer: TransfoXLTokenizer) -> None:
    """Check that facts of an earlier segment are recalled with memory, and not without."""
    rng = random.Random(SEED)
    right, guessed, chances = 0, 0, []
    for _ in range(FAR_FACTS):
        fact, words, answer = far_fact(rng, tokenizer)
        right += likeliest(model, words, carry=True) == answer
        guessed += likeliest(model, words, carry=False) == answer
        chances.append(1 / len(fact.kind.values))
    chance = sum(chances) / FAR_FACTS
    report.check(right / FAR_FACTS >= 0.9, f"far facts recalled with memory: {right / FAR_FACTS:.3f}")
    report.check(
        guessed / FAR_FACTS <= chance + 0.05, f"without memory: {guessed / FAR_FACTS:.3f}, by chance {chance:.3f}"
    )
    words = tokenizer.encode(FAR_FACT)
    answer = tokenizer.convert_tokens_to_ids(FAR_ANSWER)
    kept, lost = (next_words(model, words, carry=carry) for carry in (True, False))
    report.check(
        int(kept.argmax()) == answer and int(lost.argmax()) != answer,
        f"{FAR_FACT!r} ({len(words)} words): {FAR_ANSWER} {kept[answer].exp():.4f} with memory, "
        f"{lost[answer].exp():.4f} without",
    )
    best = kept.topk(2).values
    report.check(float(best[0] - best[1]) >= 0.5, f"  by {float(best[0] - best[1]):.2f}")


def far_fact(rng: random.Random, tokenizer: TransfoXLTokenizer) -> tuple[Fact, list[int], int]:
    """Draw a story up to the answer: a fact, beside it another, more than a segment of other text, the question.

    Returns:
        the fact, the ids up to the answer, and the answer's id.
    """
    while True:
        facts = draw_facts(rng, rng.choice((1, 2)))
        fact = rng.choice(facts)
        told = " ".join(each.told for each in facts)
        between = " ".join(filler(rng)[: rng.randint(3, 5)])
        question = f"{fact.asked} {fact.told.split(fact.value)[0]}"
        words = tokenizer.encode(f"{told} {between} {question}")
        answer = tokenizer.convert_tokens_to_ids(fact.value)
        distance = len(words) - words.index(answer)
        # More than a segment before, so never in the same one; within reach of the memory, however segments fall.
        if SEGMENT < distance <= model_reach(tokenizer):
            return fact, words, answer


def model_reach(tokenizer: TransfoXLTokenizer) -> int:
    """Return how many words back the memory holds at least."""
    return int(tokenizer.model_max_length)


def next_words(model: TransfoXLLMHeadModel, words: Sequence[int], *, carry: bool) -> Tensor:
    """Return log-probabilities of the next word, (vocabulary,), after a text read in segments."""
    mems = None
    for segment in torch.split(torch.tensor([words]), SEGMENT, dim=1):
        output = model(segment, mems=mems)
        mems = output.mems if carry else None
    scores: Tensor = output.prediction_scores[0, -1]
    return scores


def likeliest(model: TransfoXLLMHeadModel, words: Sequence[int], *, carry: bool) -> int:
    """Return the likeliest next word after a text read in segments."""
    return int(next_words(model, words, carry=carry).argmax())


def report_segments(report: Report, model: TransfoXLLMHeadModel, tokenizer: TransfoXLTokenizer) -> None:
    """Check that segments with memory carried are as good as one pass, and segments without are not."""
    ids = torch.tensor([tokenizer.encode(FAR_FACT)])
    nothing = blank_memory(model.config, 0, 1, like=torch.zeros(()))
    once = segment_log_probabilities(model, ids, ids.shape[1], mems=nothing)
    for length in (1, 7, 16, SEGMENT):
        parts = segment_log_probabilities(model, ids, length, mems=nothing)
        away = (parts - once).abs().max().item()
        report.check(away <= 1e-4, f"segments of {length}: {away:.1e} from one pass")
    lost = (segment_log_probabilities(model, ids, SEGMENT, mems=nothing, carry=False) - once).abs().max().item()
    report.check(lost >= 1, f"memory dropped: {lost:.2f} from one pass")


class Continuation:
    """Scores next words one word at a time with memory carried, as `generate` does."""

    def __init__(self, model: TransfoXLLMHeadModel, prompt: Sequence[int]) -> None:
        self.model = model
        self.known = {tuple(prompt): self._read(list(prompt), None)}

    def __call__(self, sequences: Sequence[list[int]]) -> Tensor:
        """Return log-probabilities of the sequences' next words, (sequences, vocabulary)."""
        return torch.cat([self._after(tuple(ids))[0] for ids in sequences])

    def _after(self, ids: tuple[int, ...]) -> tuple[Tensor, list[Tensor]]:
        if ids not in self.known:
            self.known[ids] = self._read([ids[-1]], self._after(ids[:-1])[1])
        return self.known[ids]

    def _read(self, words: list[int], mems: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        output = self.model(torch.tensor([words]), mems=mems)
        return output.prediction_scores[:, -1], output.mems


def report_generation(report: Report, model: TransfoXLLMHeadModel, tokenizer: TransfoXLTokenizer) -> None:
    """Check the continuations of the prompt: texts and margins."""
    prompt = tokenizer.encode(PROMPT)
    print(f"prompt: {len(prompt)} words")
    search = Search(Continuation(model, prompt), LENGTH, END, BEAMS)
    loop, loop_margin = search.greedy(prompt, blocked=False)
    plain, plain_margin = search.greedy(prompt, blocked=True)
    beams, gaps = search.beam(prompt)
    texts = {
        "greedy": tokenizer.decode(loop),
        "greedy, no pair twice": tokenizer.decode(plain),
        **{f"beam {i}": tokenizer.decode(b.ids) for i, b in enumerate(beams)},
    }
    known = set[tuple[str, str]]()
    for told in stories(SEED - 1, 20_000):
        known |= word_pairs(" ".join(sentence.text for sentence in told))
    for name, text in texts.items():
        print(f"{name}:\n       {text!r}")
        strange = strange_pairs(text, known)
        report.check(not strange, f"word pairs unknown to the corpus: {strange}")
    print(f"       greedy repeats {loop_length(loop)} words")
    report.check(END not in loop + plain, "neither ends early")
    report.check(loop_margin >= GREEDY_MARGIN, f"greedy margin {loop_margin:.4f}")
    report.check(plain_margin >= GREEDY_MARGIN, f"blocked margin {plain_margin:.4f}")
    report.check(min(gaps) >= BEAM_GAP, f"beam gap {min(gaps):.5f}")
    report.check(beams[0].ids not in (loop, plain), "the best beam is not greedy")
    report_generate(report, model, prompt, [loop, plain, *(beam.ids for beam in beams)])


def report_generate(report: Report, model: TransfoXLLMHeadModel, prompt: list[int], expected: list[list[int]]) -> None:
    """Check that the installed release's `generate` finds what the searches found."""
    searching = {"num_beams": BEAMS, "no_repeat_ngram_size": 2, "early_stopping": True, "num_return_sequences": BEAMS}
    found = [
        *generated(model, prompt),
        *generated(model, prompt, no_repeat_ngram_size=2),
        *generated(model, prompt, **searching),
    ]
    report.check(found == expected, "the installed transformers generates the same ids")


def generated(model: TransfoXLLMHeadModel, prompt: list[int], **settings: int | bool) -> list[list[int]]:
    """Return what the installed transformers release generates, each up to its end."""
    ids = torch.tensor([prompt])
    rows: list[list[int]] = model.generate(
        ids, max_length=LENGTH, do_sample=False, pad_token_id=END, **settings
    ).tolist()
    return [row[: row.index(END) + 1] if END in row else row for row in rows]


def topic_logits(folder: Path, tokenizer: TransfoXLTokenizer, texts: Sequence[str]) -> Tensor:
    """Return (texts, topics) logits of the classifier; padding stands on the right, where upstream's looks for it."""
    model = TransfoXLForSequenceClassification.from_pretrained(folder, pad_token_id=END).eval()
    encoded = [tokenizer.encode(text) for text in texts]
    length = max(len(words) for words in encoded)
    padded = [words + [END] * (length - len(words)) for words in encoded]
    return torch.cat([model(ids).logits for ids in torch.split(torch.tensor(padded), 500)])


def report_accuracy(report: Report, folder: Path, tokenizer: TransfoXLTokenizer) -> None:
    """Check both readings of the classifier on texts it has not seen."""
    seen = {example.text for example in renamed_examples(1, 10 * HELD_OUT)}
    fresh = [example for example in renamed_examples(SEED, HELD_OUT) if example.text not in seen]
    logits = topic_logits(folder, tokenizer, [example.text for example in fresh])
    labels = torch.tensor([[topic in example.topics for topic in TOPICS] for example in fresh])
    single = labels.sum(dim=1) == 1
    right = logits[single].argmax(dim=1) == labels[single].int().argmax(dim=1)
    exact = ((logits > 0) == labels).all(dim=1)
    one, several = right.float().mean().item(), exact.float().mean().item()
    report.check(one >= 0.95, f"single-label accuracy {one:.4f} ({len(right)} texts)")
    report.check(several >= 0.9, f"multi-label match {several:.4f} ({len(exact)} texts)")


def report_fixed(report: Report, folder: Path, tokenizer: TransfoXLTokenizer) -> None:
    """Check the decisions on the fixed sentences and how clear they are."""
    for text, topics in FIXED.items():
        logits = topic_logits(folder, tokenizer, [text])[0]
        first, second = logits.topk(2).values.tolist()
        clear = logits.abs().min().item()
        top = TOPICS[int(logits.argmax())]
        found = tuple(TOPICS[i] for i in (logits > 0).nonzero().flatten().tolist())
        single = not topics or (top in topics and first - second >= 0.5)
        report.check(
            found == topics and single and clear >= 0.3,
            f"{text!r}: {top} by {first - second:.2f}; {found}, clear by {clear:.2f}",
        )
