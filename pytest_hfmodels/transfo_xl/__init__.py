"""Our Transformer-XL, for transformers releases in which upstream's is broken or removed.

`probe` finds out which one works, and registers ours with the auto classes. The names resolve on first use:
importing the package imports neither torch nor transformers.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_hfmodels.transfo_xl.configuration import TransfoXLConfig as TransfoXLConfig
    from pytest_hfmodels.transfo_xl.heads import (
        TransfoXLForSequenceClassification as TransfoXLForSequenceClassification,
    )
    from pytest_hfmodels.transfo_xl.heads import TransfoXLLMHeadModel as TransfoXLLMHeadModel
    from pytest_hfmodels.transfo_xl.memory import blank_memory as blank_memory
    from pytest_hfmodels.transfo_xl.model import TransfoXLModel as TransfoXLModel
    from pytest_hfmodels.transfo_xl.probe import register as register
    from pytest_hfmodels.transfo_xl.probe import working_implementation as working_implementation
    from pytest_hfmodels.transfo_xl.segments import segment_log_probabilities as segment_log_probabilities
    from pytest_hfmodels.transfo_xl.tokenizer import TransfoXLTokenizer as TransfoXLTokenizer
    from pytest_hfmodels.transfo_xl.vocabulary import Vocabulary as Vocabulary
    from pytest_hfmodels.transfo_xl.vocabulary import read_vocabulary as read_vocabulary

_HOMES = {
    "TransfoXLConfig": "configuration",
    "TransfoXLForSequenceClassification": "heads",
    "TransfoXLLMHeadModel": "heads",
    "TransfoXLModel": "model",
    "TransfoXLTokenizer": "tokenizer",
    "Vocabulary": "vocabulary",
    "blank_memory": "memory",
    "read_vocabulary": "vocabulary",
    "register": "probe",
    "segment_log_probabilities": "segments",
    "working_implementation": "probe",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
