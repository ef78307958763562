"""Properties that hold for every model: hypothesis strategies and checkers, for other projects too.

The strategies need the extra `properties` (hypothesis); the checkers need NumPy only.
"""

from pytest_hfmodels.properties.ngrams import NgramViolation, banned_tokens, check_blocking, repeated_ngram
from pytest_hfmodels.properties.prompts import prompt_batches

__all__ = ["NgramViolation", "banned_tokens", "check_blocking", "prompt_batches", "repeated_ngram"]
