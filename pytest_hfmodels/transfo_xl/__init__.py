"""Our Transformer-XL, for transformers releases in which upstream's is broken or gone.

`probe` says which one works here, `registration` puts ours behind the auto classes. The names resolve on first use:
importing the package imports neither torch nor transformers.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_hfmodels.transfo_xl.configuration import TransfoXLConfig
    from pytest_hfmodels.transfo_xl.heads import TransfoXLForSequenceClassification, TransfoXLLMHeadModel
    from pytest_hfmodels.transfo_xl.memory import blank_memory
    from pytest_hfmodels.transfo_xl.model import TransfoXLModel
    from pytest_hfmodels.transfo_xl.probe import Implementation, working_implementation
    from pytest_hfmodels.transfo_xl.registration import register
    from pytest_hfmodels.transfo_xl.segments import segment_log_probabilities
    from pytest_hfmodels.transfo_xl.tokenizer import TransfoXLTokenizer
    from pytest_hfmodels.transfo_xl.vocabulary import Vocabulary, read_vocabulary

_HOMES = {
    "Implementation": "probe",
    "TransfoXLConfig": "configuration",
    "TransfoXLForSequenceClassification": "heads",
    "TransfoXLLMHeadModel": "heads",
    "TransfoXLModel": "model",
    "TransfoXLTokenizer": "tokenizer",
    "Vocabulary": "vocabulary",
    "blank_memory": "memory",
    "read_vocabulary": "vocabulary",
    "register": "registration",
    "segment_log_probabilities": "segments",
    "working_implementation": "probe",
}

__all__ = [
    "Implementation",
    "TransfoXLConfig",
    "TransfoXLForSequenceClassification",
    "TransfoXLLMHeadModel",
    "TransfoXLModel",
    "TransfoXLTokenizer",
    "Vocabulary",
    "blank_memory",
    "read_vocabulary",
    "register",
    "segment_log_probabilities",
    "working_implementation",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
