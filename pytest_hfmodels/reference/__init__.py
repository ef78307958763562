"""What the library should do, in plain NumPy, short enough to be read as the specification.

Greedy and beam search over any function from ids to logits, the logits processors, losses and pooling, checkers that
tell a decision too close to call from a wrong one, and the forward passes of five architectures. Imports nothing
of the project but its errors.
"""

from pytest_hfmodels.reference.beams import Beams, Hypothesis, SearchStep, beam_search, check_beams
from pytest_hfmodels.reference.bert import Bert, BertPass
from pytest_hfmodels.reference.gpt2 import GPT2, GPT2Pass
from pytest_hfmodels.reference.greedy import Greedy, check_greedy, greedy_search
from pytest_hfmodels.reference.llama import Llama, LlamaPass
from pytest_hfmodels.reference.losses import (
    bce_with_logits,
    classifier_loss,
    cross_entropy,
    infer_problem_type,
    mean_squared_error,
    next_token_loss,
)
from pytest_hfmodels.reference.pooling import pooled_positions
from pytest_hfmodels.reference.processors import process
from pytest_hfmodels.reference.rules import Rules
from pytest_hfmodels.reference.search import TOLERANCE, Logits, Mismatch, Settings
from pytest_hfmodels.reference.t5 import T5, T5Pass
from pytest_hfmodels.reference.transfo_xl import TransfoXL, TransfoXLPass

__all__ = [
    "GPT2",
    "T5",
    "TOLERANCE",
    "Beams",
    "Bert",
    "BertPass",
    "GPT2Pass",
    "Greedy",
    "Hypothesis",
    "Llama",
    "LlamaPass",
    "Logits",
    "Mismatch",
    "Rules",
    "SearchStep",
    "Settings",
    "T5Pass",
    "TransfoXL",
    "TransfoXLPass",
    "bce_with_logits",
    "beam_search",
    "check_beams",
    "check_greedy",
    "classifier_loss",
    "cross_entropy",
    "greedy_search",
    "infer_problem_type",
    "mean_squared_error",
    "next_token_loss",
    "pooled_positions",
    "process",
]
