"""Text to ids and back: encoding, decoding, special tokens, saving."""

from __future__ import annotations

from tests.mutations import observations as observe
from tests.mutations.fault import Fault
from tests.mutations.patches import edited, replaced

BASE = "transformers.tokenization_utils_base:PreTrainedTokenizerBase"
FAST = "transformers.tokenization_utils_fast:PreTrainedTokenizerFast"
SLOW = "transformers.models.gpt2.tokenization_gpt2:GPT2Tokenizer"
CONVERTER = "transformers.convert_slow_tokenizer:GPT2Converter.converted"
SPACED = "Well , is it ? Yes . I 'm sure ."
PADDED_BY_THE_END = {"pad_token": "<|endoftext|>"}  # as GPT-2 is used, which has no pad token

FAULTS = (
    Fault(
        "prefix-space-always-added",
        "add_prefix_space is on, whatever the tokenizer's files say.",
        reference="huggingface/transformers#29625",
        shown_by=lambda: observe.tokenizer().encode("My name is Hasnain"),
        patch=lambda: edited(
            f"{FAST}.__init__",
            ('self.add_prefix_space = kwargs.get("add_prefix_space", False)', "self.add_prefix_space = True"),
        ),
    ),
    Fault(
        "prefix-space-by-default",
        "add_prefix_space is on by default.",
        reference="huggingface/transformers#42481",
        shown_by=lambda: observe.bare_tokenizer().encode("My name"),
        patch=lambda: replaced(
            "transformers.models.gpt2.tokenization_gpt2_fast:GPT2TokenizerFast.__init__.__defaults__",
            (*[None] * 3, *["<|endoftext|>"] * 3, True),  # the last is add_prefix_space
        ),
    ),
    Fault(
        "spaces-cleaned-up-by-default",
        "Decoding drops the space before punctuation by default.",
        reference="huggingface/transformers#31884",
        shown_by=lambda: _round_trip(),
        patch=lambda: edited(
            f"{BASE}.__init__",
            ('kwargs.pop("clean_up_tokenization_spaces", False)', 'kwargs.pop("clean_up_tokenization_spaces", True)'),
        ),
    ),
    Fault(
        "cleaning-up-spaces-ignored",
        "clean_up_tokenization_spaces=True does nothing.",
        reference="huggingface/transformers#43426",
        shown_by=lambda: _round_trip(clean_up_tokenization_spaces=True),
        patch=lambda: edited(
            f"{FAST}._decode", ("if clean_up_tokenization_spaces:", "if clean_up_tokenization_spaces is None:")
        ),
    ),
    Fault(
        "special-tokens-not-skipped",
        "skip_special_tokens=True leaves special tokens in the text.",
        reference="huggingface/transformers#1811",
        shown_by=lambda: observe.tokenizer().decode([300, 1023, 301], skip_special_tokens=True),
        patch=lambda: edited(
            f"{FAST}._decode", ("skip_special_tokens=skip_special_tokens)", "skip_special_tokens=False)")
        ),
    ),
    Fault(
        "special-tokens-taken-apart",
        "A special token in a text is split like any other word.",
        reference="huggingface/tokenizers#472",
        shown_by=lambda: observe.tokenizer().encode("Hello<|endoftext|>Hello"),
        patch=lambda: edited(
            f"{BASE}.__init__",
            ('kwargs.pop("split_special_tokens", False)', 'kwargs.pop("split_special_tokens", True)'),
        ),
    ),
    Fault(
        "padding-side-ignored",
        "Batches are padded on the right, whatever padding_side says.",
        reference="huggingface/transformers#30447",
        shown_by=lambda: observe.tokenizer(padding_side="left", pad_token="!")(["Hello", "My name is"], padding=True)[
            "input_ids"
        ],
        patch=lambda: edited(
            f"{FAST}.set_truncation_and_padding",
            ("padding_side if padding_side is not None else self.padding_side", '"right"'),
        ),
    ),
    Fault(
        "truncated-on-the-left",
        "A long text is cut on the left.",
        reference="huggingface/transformers#12913",
        shown_by=lambda: observe.tokenizer()("My name is Hasnain", truncation=True, max_length=3)["input_ids"],
        patch=lambda: edited(
            f"{FAST}.set_truncation_and_padding", ('"direction": self.truncation_side', '"direction": "left"')
        ),
    ),
    Fault(
        "pad-token-not-saved",
        "A pad token given to a tokenizer is lost when it is saved.",
        reference="huggingface/transformers#26500",
        shown_by=observe.saved_tokenizer,
        patch=lambda: edited(
            f"{BASE}.save_pretrained",
            (
                "tokenizer_config.update(self.special_tokens_map)",
                "tokenizer_config = {**self.special_tokens_map, **copy.deepcopy(self.init_kwargs)}",
            ),
        ),
    ),
    Fault(
        "broken-characters-dropped",
        "The slow tokenizer drops the bytes of incomplete characters instead of marking them.",
        reference="huggingface/transformers#33577",
        shown_by=lambda: (lambda known: known.decode(known.encode("\N{HUGGING FACE}")[:1]))(
            observe.tokenizer(use_fast=False)
        ),
        patch=lambda: edited(f"{SLOW}.convert_tokens_to_string", ("errors=self.errors", 'errors="ignore"')),
    ),
    Fault(
        "offsets-trimmed",
        "Offsets leave out the space that belongs to a token.",
        reference="huggingface/transformers#14752",
        shown_by=lambda: observe.tokenizer()("My name is", return_offsets_mapping=True)["offset_mapping"],
        patch=lambda: edited(CONVERTER, ("ByteLevel(trim_offsets=False)", "ByteLevel(trim_offsets=True)")),
    ),
    Fault(
        "mask-read-off-the-ids",
        "The attention mask is derived from the ids, so a pad token inside a text is also masked.",
        reference="huggingface/transformers#23530",
        shown_by=lambda: observe.tokenizer(**PADDED_BY_THE_END)(
            ["Hello<|endoftext|>My name is", "Hello"], padding=True
        )["attention_mask"],
        patch=lambda: edited(
            f"{FAST}._convert_encoding",
            (".append(e.attention_mask)", ".append([int(token != self.pad_token_id) for token in e.ids])"),
        ),
        later=True,
    ),
)


def _round_trip(**how: bool) -> object:
    known = observe.tokenizer()
    return known.decode(known.encode(SPACED), **how)
