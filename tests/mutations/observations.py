"""Direct calls of the library on small models, a few milliseconds each. A fault must change one of their results.

The weights are fixed numbers with flat distributions, so beams end, cross and come close. Nothing heavy is imported
before a call.
"""

from __future__ import annotations

import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

quiet = partial(warnings.catch_warnings, action="ignore")  # small models make upstream warn a lot
PAD, EOS, WORDS = 0, 1, 12
SEEDS = (1, 2, 4, 5)  # models whose searches differ, some with beams that end
PROMPTS = ((7, 3, 9, 3), (PAD, 5, 4, 5), (PAD, PAD, 8, 2))
RIGHT_PADDED = ((7, 3, 9, 3), (5, 4, 5, PAD), (8, 2, PAD, PAD))


def gpt2_settings(**changes: Any) -> dict[str, Any]:
    """Return the settings of a GPT-2 of twelve words."""
    return {
        "vocab_size": WORDS,
        "n_positions": 32,
        "n_embd": 8,
        "n_layer": 2,
        "n_head": 2,
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "bos_token_id": EOS,
        "eos_token_id": EOS,
        "pad_token_id": PAD,
        "tie_word_embeddings": False,  # if tied, the last word is the most likely next one
        **changes,
    }


def gpt2(head: str = "GPT2LMHeadModel", *, attention: str = "eager", seed: int = SEEDS[0], **changes: Any) -> Any:
    """Return a GPT-2 in torch, filled with fixed numbers."""
    import transformers

    config = transformers.GPT2Config(**gpt2_settings(**changes), attn_implementation=attention)
    return _filled(getattr(transformers, head)(config), seed)


def greedy(model: dict[str, Any] | None = None, **settings: Any) -> object:
    """Return the ids, scores and raw logits of greedy search. The release decides a setting that is OMITTED."""
    return [_generated(gpt2(seed=seed, **(model or {})), settings) for seed in SEEDS]


def beams(*, own_config: bool = False, **settings: Any) -> object:
    """Return the result of beam search; with `own_config`, of a model with a generation config."""
    import transformers

    found = []
    for seed in SEEDS:
        model = gpt2(seed=seed)
        if own_config:
            model.generation_config = transformers.GenerationConfig(eos_token_id=EOS, pad_token_id=PAD)
        found.append(_generated(model, {"num_beams": 3, "num_return_sequences": 3, "max_new_tokens": 7} | settings))
    return found


def _generated(model: Any, settings: dict[str, Any]) -> object:
    import torch

    ids = torch.tensor(PROMPTS)
    given = {
        "attention_mask": (ids != PAD).long(),
        "max_new_tokens": 6,
        "do_sample": False,
        "return_dict_in_generate": True,
        "output_scores": True,
        "output_logits": True,
        **settings,
    }
    with quiet():
        output = model.generate(ids, **{name: value for name, value in given.items() if value is not OMITTED})
    return plain([output[name] for name in ("sequences", "sequences_scores", "scores", "logits") if name in output])


OMITTED = object()


def logits(*, cached: int = 0, padded: bool = False, calls: dict[str, Any] | None = None, **changes: Any) -> object:
    """Return GPT-2's logits for a text, read in two pieces if `cached` is not 0."""
    import torch

    model = gpt2(**changes)
    ids = torch.tensor(PROMPTS)
    given = {**({"attention_mask": (ids != PAD).long()} if padded else {}), **(calls or {})}
    with torch.no_grad():
        if not cached:
            return plain(model(ids, **given).logits)
        before = model(ids[:, :cached], use_cache=True).past_key_values
        return plain(model(ids[:, cached:], past_key_values=before).logits)


def loss(labels: tuple[tuple[int, ...], ...] = PROMPTS, **given: Any) -> object:
    """Return the loss of GPT-2's language model."""
    import torch

    with torch.no_grad():
        return plain(gpt2()(torch.tensor(PROMPTS), labels=torch.tensor(labels), **given).loss)


def classified(
    prompts: tuple[tuple[int, ...], ...] = RIGHT_PADDED, labels: Any = None, dtype: str | None = None, **changes: Any
) -> object:
    """Return logits, loss and inferred problem type of GPT-2's classifier, or its error."""
    import torch

    model = gpt2("GPT2ForSequenceClassification", **{"num_labels": 3, **changes})
    given = None if labels is None else torch.tensor(labels, dtype=None if dtype is None else getattr(torch, dtype))
    try:
        with torch.no_grad(), quiet():
            output = model(torch.tensor(prompts), labels=given)
    except (ValueError, RuntimeError) as error:
        return type(error).__name__
    return plain([output.logits, output.loss])


def transfo_xl(
    head: str = "TransfoXLLMHeadModel", *, texts: int = 1, labels: Any = None, generate: Any = None, **changes: Any
) -> object:
    """Return our Transformer-XL's scores for a text read in `texts` pieces, a loss or a generation."""
    import torch

    from pytest_hfmodels import transfo_xl as ours

    model = _filled(getattr(ours, head)(ours.TransfoXLConfig(**transfo_xl_settings(**changes))), SEEDS[0])
    ids = torch.tensor([(7, 3, 9, 3, 11, 2), (5, 4, 5, 10, 2, 8)])
    if generate is not None:
        with quiet():
            output = model.generate(ids, do_sample=False, return_dict_in_generate=True, output_scores=True, **generate)
        return plain([output.sequences, output.scores])
    given = {} if labels is None else {"labels": torch.tensor(labels)}
    mems, found = None, []
    with torch.no_grad():
        for piece in ids.chunk(texts, dim=1):
            output = model(piece, mems=mems, return_dict=True, **given)
            mems = output.mems
            found.append([output.get("prediction_scores"), output.get("logits"), output.loss])
    return plain(found)


def transfo_xl_settings(**changes: Any) -> dict[str, Any]:
    """Return the settings of a Transformer-XL of twelve words in three clusters."""
    return {
        "vocab_size": WORDS,
        "cutoffs": [4, 8],
        "d_model": 8,
        "d_embed": 8,
        "n_head": 2,
        "d_head": 4,
        "d_inner": 12,
        "div_val": 2,
        "n_layer": 2,
        "mem_len": 6,
        "clamp_len": -1,
        "dropout": 0.0,
        "dropatt": 0.0,
        "eos_token_id": 0,
        **changes,
    }


def tokenizer(**settings: Any) -> Any:
    """Return the bundled checkpoint's tokenizer, the fast one unless `use_fast` is False."""
    import transformers

    return transformers.AutoTokenizer.from_pretrained(str(_bundled()), **settings)


def bare_tokenizer() -> Any:
    """Return a tokenizer whose files set nothing that has a default."""
    import transformers

    from tests.tiny_gpt2 import write_checkpoint

    with tempfile.TemporaryDirectory() as folder:
        return transformers.AutoTokenizer.from_pretrained(str(write_checkpoint(Path(folder) / "model")))


def saved_tokenizer() -> object:
    """Return the state of a tokenizer after adding a pad token, saving and loading."""
    with tempfile.TemporaryDirectory() as folder, quiet():
        before = tokenizer()
        before.pad_token = "!"
        before.save_pretrained(folder)
        import transformers

        after = transformers.AutoTokenizer.from_pretrained(folder)
        return [after.pad_token, after.eos_token, after.encode("Hello! <|endoftext|>")]


def loaded(**how: Any) -> object:
    """Return dtype, mode and logits of a language model after saving and loading."""
    import torch
    import transformers

    changes = {name: how.pop(name) for name in ("tie_word_embeddings",) if name in how}
    dtype = how.pop("saved_as", "float32")
    with tempfile.TemporaryDirectory() as folder, quiet():
        model = gpt2(**{"tie_word_embeddings": True, **changes}).to(getattr(torch, dtype))
        model.generation_config.num_beams = 3
        model.save_pretrained(folder)
        again = transformers.AutoModelForCausalLM.from_pretrained(folder, **how)
        with torch.no_grad():
            scores = again(torch.tensor(PROMPTS)).logits.float()
        return plain([str(again.dtype), again.training, again.generation_config.num_beams, scores])


def loaded_attention() -> str:
    """Return the default attention of the bundled checkpoint."""
    import transformers

    found: str = transformers.AutoModelForCausalLM.from_pretrained(str(_bundled())).config._attn_implementation
    return found


def defaults() -> object:
    """Return the default generation settings."""
    import transformers

    return transformers.GenerationConfig().to_dict()


def tf_gpt2(head: str = "TFGPT2LMHeadModel", **changes: Any) -> Any:
    """Return a GPT-2 in TensorFlow, filled with fixed numbers."""
    import transformers

    model = getattr(transformers, head)(transformers.GPT2Config(**gpt2_settings(**changes)))
    return _tf_filled(model)


def tf_generated(**settings: Any) -> object:
    """Return ids and scores of TensorFlow's search for three prompts."""
    import tensorflow as tf

    ids = np.array(PROMPTS, np.int32)
    with quiet():
        output = tf_gpt2().generate(
            tf.constant(ids),
            attention_mask=tf.constant((ids != PAD).astype(np.int32)),
            **{"do_sample": False, "max_new_tokens": 4, **settings},
            return_dict_in_generate=True,
            output_scores=True,
        )
    return plain([output.sequences, output.get("sequences_scores"), output.scores])


def tf_loss(labels: tuple[tuple[int, ...], ...]) -> object:
    """Return the loss of TensorFlow's language model."""
    import tensorflow as tf

    return plain(tf_gpt2()(tf.constant(PROMPTS), labels=tf.constant(labels)).loss)


def tf_logits(*, cached: int) -> object:
    """Return TensorFlow's logits for a text read in two pieces."""
    import tensorflow as tf

    model, ids = tf_gpt2(), tf.constant(PROMPTS)
    before = model(ids[:, :cached], use_cache=True).past_key_values
    return plain(model(ids[:, cached:], past_key_values=before).logits)


def tf_classified(prompts: tuple[tuple[int, ...], ...], labels: Any = None) -> object:
    """Return logits and loss of TensorFlow's classifier."""
    import tensorflow as tf

    model = tf_gpt2("TFGPT2ForSequenceClassification", num_labels=3)
    output = model(tf.constant(prompts), labels=None if labels is None else tf.constant(labels))
    return plain([output.logits, output.loss])


def tf_transfo_xl(head: str = "TFTransfoXLLMHeadModel", *, texts: int = 1, **changes: Any) -> object:
    """Return the result of upstream's Transformer-XL in TensorFlow for a text read in `texts` pieces."""
    import tensorflow as tf
    import transformers

    with quiet():
        config = transformers.TransfoXLConfig(**transfo_xl_settings(**changes))
        model = _tf_filled(getattr(transformers, head)(config))
        mems, found = None, []
        for piece in tf.split(tf.constant([(7, 3, 9, 3, 11, 2), (5, 4, 5, 10, 2, 8)]), texts, axis=1):
            output = model(piece, mems=mems)
            mems = output.mems
            found.append([output.get("prediction_scores"), output.get("logits"), mems])
    return plain(found)


def plain(value: Any) -> object:
    """Return tensors as lists, so that two results can be compared."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return np.asarray(value.numpy()).tolist()


def differ(one: object, other: object) -> bool:
    """Return whether two results differ; numbers may differ in their sixth digit."""
    if isinstance(one, float) and isinstance(other, float):
        return not np.isclose(one, other, rtol=1e-5, atol=1e-6, equal_nan=True)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) != len(other) or any(map(differ, one, other))
    return one != other


def _bundled() -> Path:
    from pytest_hfmodels.checkpoints.bundled_files import BUNDLED

    return BUNDLED / "tiny-gpt2"


def _numbers(seed: int) -> Callable[[tuple[int, ...]], NDArray[np.float32]]:
    """Return a random generator that gives the same arrays on every release and machine."""
    random = np.random.Generator(np.random.PCG64(seed))
    return lambda shape: np.asarray(random.standard_normal(shape), np.float32)


def _filled(model: Any, seed: int) -> Any:
    import torch

    numbers = _numbers(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            drawn = torch.from_numpy(numbers(tuple(parameter.shape)))
            parameter.copy_(_scaled(drawn, name, norm=("ln_", "layer_norm"), embedding=("wte", "wpe")))
    return model.eval()


def _scaled(drawn: Any, name: str, *, norm: tuple[str, ...], embedding: tuple[str, ...]) -> Any:
    """Return weights that give the named layer an effect, without a word that always wins."""
    if name.endswith(("bias", "beta:0", "bias:0")):
        return 0.1 * drawn
    if any(part in name for part in norm):
        return 1 + 0.1 * drawn
    return (1.0 if any(part in name for part in embedding) else 0.3) * drawn


def _tf_filled(model: Any) -> Any:
    model(model.dummy_inputs, training=False)
    numbers = _numbers(SEEDS[0])
    for variable in sorted(model.weights, key=lambda weight: weight.name):
        drawn = numbers(tuple(variable.shape))
        variable.assign(_scaled(drawn, variable.name, norm=("gamma",), embedding=("wpe",)))
    return model
