"""Text to ids and back: encoding, decoding, special tokens, saving."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.mutations import observations as observe
from tests.mutations.fault import fault
from tests.mutations.patches import edited, with_default

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

BASE = "transformers.tokenization_utils_base:PreTrainedTokenizerBase"
FAST = "transformers.tokenization_utils_fast:PreTrainedTokenizerFast"
SLOW = "transformers.models.gpt2.tokenization_gpt2:GPT2Tokenizer"
CONVERTER = "transformers.convert_slow_tokenizer:GPT2Converter.converted"
SPACED = "Well , is it ? Yes . I 'm sure ."


@fault(
    "add_prefix_space is on, whatever the tokenizer's files say.",
    reference="huggingface/transformers#29625",
    shown_by=lambda: observe.tokenizer().encode("My name is Hasnain"),
)
def prefix_space_always_added() -> AbstractContextManager[None]:
    return edited(
        f"{FAST}.__init__",
        ('self.add_prefix_space = kwargs.get("add_prefix_space", False)', "self.add_prefix_space = True"),
    )


@fault(
    "add_prefix_space is on by default.",
    reference="huggingface/transformers#42481",
    shown_by=lambda: observe.tokenizer("bare").encode("My name"),
)
def prefix_space_by_default() -> AbstractContextManager[None]:
    return with_default(
        "transformers.models.gpt2.tokenization_gpt2_fast:GPT2TokenizerFast.__init__", "add_prefix_space", True
    )


@fault(
    "Decoding drops the space before punctuation by default.",
    reference="huggingface/transformers#31884",
    shown_by=lambda: (lambda known: known.decode(known.encode(SPACED)))(observe.tokenizer()),
)
def spaces_cleaned_up_by_default() -> AbstractContextManager[None]:
    return edited(
        f"{BASE}.__init__",
        ('kwargs.pop("clean_up_tokenization_spaces", False)', 'kwargs.pop("clean_up_tokenization_spaces", True)'),
    )


@fault(
    "clean_up_tokenization_spaces=True does nothing.",
    reference="huggingface/transformers#43426",
    shown_by=lambda: (lambda known: known.decode(known.encode(SPACED), clean_up_tokenization_spaces=True))(
        observe.tokenizer()
    ),
)
def cleaning_up_spaces_ignored() -> AbstractContextManager[None]:
    return edited(f"{FAST}._decode", ("if clean_up_tokenization_spaces:", "if clean_up_tokenization_spaces is None:"))


@fault(
    "skip_special_tokens=True leaves them in the text.",
    reference="huggingface/transformers#1811",
    shown_by=lambda: observe.tokenizer().decode([300, 1023, 301], skip_special_tokens=True),
)
def special_tokens_not_skipped() -> AbstractContextManager[None]:
    return edited(f"{FAST}._decode", ("skip_special_tokens=skip_special_tokens)", "skip_special_tokens=False)"))


@fault(
    "A special token in a text is taken apart like any other word.",
    reference="huggingface/tokenizers#472",
    shown_by=lambda: observe.tokenizer().encode("Hello<|endoftext|>Hello"),
)
def special_tokens_taken_apart() -> AbstractContextManager[None]:
    return edited(
        f"{BASE}.__init__",
        ('kwargs.pop("split_special_tokens", False)', 'kwargs.pop("split_special_tokens", True)'),
    )


@fault(
    "Batches are padded on the right, whatever padding_side says.",
    reference="huggingface/transformers#30447",
    shown_by=lambda: observe.tokenizer(padding_side="left", pad_token="!")(["Hello", "My name is"], padding=True)[
        "input_ids"
    ],
)
def padding_side_ignored() -> AbstractContextManager[None]:
    return edited(
        f"{FAST}.set_truncation_and_padding",
        ("padding_side if padding_side is not None else self.padding_side", '"right"'),
    )


@fault(
    "A long text is cut on the left.",
    reference="huggingface/transformers#12913",
    shown_by=lambda: observe.tokenizer()("My name is Hasnain", truncation=True, max_length=3)["input_ids"],
)
def truncated_on_the_left() -> AbstractContextManager[None]:
    return edited(
        f"{FAST}.set_truncation_and_padding",
        ('"direction": self.truncation_side', '"direction": "left"'),
    )


@fault(
    "A pad token given to a tokenizer is lost when it is saved.",
    reference="huggingface/transformers#26500",
    shown_by=observe.saved_tokenizer,
)
def pad_token_not_saved() -> AbstractContextManager[None]:
    return edited(
        f"{BASE}.save_pretrained",
        (
            "tokenizer_config.update(self.special_tokens_map)",
            "tokenizer_config = {**self.special_tokens_map, **copy.deepcopy(self.init_kwargs)}",
        ),
    )


@fault(
    "The slow tokenizer leaves out bytes that are no whole character, where it should mark them.",
    reference="huggingface/transformers#33577",
    shown_by=lambda: (lambda known: known.decode(known.encode("\N{HUGGING FACE}")[:1]))(observe.tokenizer(fast=False)),
)
def broken_characters_dropped() -> AbstractContextManager[None]:
    return edited(f"{SLOW}.convert_tokens_to_string", ("errors=self.errors", 'errors="ignore"'))


@fault(
    "Offsets leave out the space that belongs to a token.",
    reference="huggingface/transformers#14752",
    shown_by=lambda: observe.tokenizer()("My name is", return_offsets_mapping=True)["offset_mapping"],
)
def offsets_trimmed() -> AbstractContextManager[None]:
    return edited(CONVERTER, ("ByteLevel(trim_offsets=False)", "ByteLevel(trim_offsets=True)"))
