"""Properties of every model, as hypothesis strategies and checkers. Other projects may use them too.

The strategies need the extra `properties` (hypothesis); the checkers need NumPy only.
"""

from pytest_hfmodels.properties.classification import PoolingViolation, check_classifier_loss, check_pooling
from pytest_hfmodels.properties.decoding import Counterexample, check_decoding, installed_rules
from pytest_hfmodels.properties.forward import (
    ForwardDifference,
    Reading,
    check_cache,
    check_causality,
    check_padding,
    readings,
    run_forward,
)
from pytest_hfmodels.properties.gradients import GradientViolation, check_gradients
from pytest_hfmodels.properties.invariance import check_alone, check_prefix, check_unchanged
from pytest_hfmodels.properties.labels import LabelSet, label_sets, labelled_texts
from pytest_hfmodels.properties.losses import LossViolation, check_language_model_loss, next_token_labels
from pytest_hfmodels.properties.ngrams import NgramViolation, banned_tokens, check_blocking, repeated_ngram
from pytest_hfmodels.properties.profiles import examples
from pytest_hfmodels.properties.prompts import padded_batches, prompt_batches
from pytest_hfmodels.properties.saving import SavingFault, check_reloaded
from pytest_hfmodels.properties.settings import READING_PADDING, generation_settings
from pytest_hfmodels.properties.texts import PaddedTexts, padded_texts, separated_texts, unicode_texts
from pytest_hfmodels.properties.tokenization import (
    TokenizerViolation,
    check_batch,
    check_clean_up,
    check_decoded_bytes,
    check_offsets,
    check_round_trip,
    check_same,
    check_special_token,
)

__all__ = [
    "READING_PADDING",
    "Counterexample",
    "ForwardDifference",
    "GradientViolation",
    "LabelSet",
    "LossViolation",
    "NgramViolation",
    "PaddedTexts",
    "PoolingViolation",
    "Reading",
    "SavingFault",
    "TokenizerViolation",
    "banned_tokens",
    "check_alone",
    "check_batch",
    "check_blocking",
    "check_cache",
    "check_causality",
    "check_classifier_loss",
    "check_clean_up",
    "check_decoded_bytes",
    "check_decoding",
    "check_gradients",
    "check_language_model_loss",
    "check_offsets",
    "check_padding",
    "check_pooling",
    "check_prefix",
    "check_reloaded",
    "check_round_trip",
    "check_same",
    "check_special_token",
    "check_unchanged",
    "examples",
    "generation_settings",
    "installed_rules",
    "label_sets",
    "labelled_texts",
    "next_token_labels",
    "padded_batches",
    "padded_texts",
    "prompt_batches",
    "readings",
    "repeated_ngram",
    "run_forward",
    "separated_texts",
    "unicode_texts",
]
