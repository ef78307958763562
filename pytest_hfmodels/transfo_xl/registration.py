"""Ours behind transformers' auto classes, where upstream's Transformer-XL does not work.

For whatever loads a `model_type: transfo-xl` checkpoint; imports nothing heavy by itself.
"""

from __future__ import annotations

from pytest_hfmodels.transfo_xl.probe import working_implementation


def register() -> bool:
    """Let `AutoConfig`, `AutoTokenizer` and the auto models resolve `transfo-xl` through our classes.

    Upstream's stay where their forward pass works; a second call changes nothing. Between 4.38 and 4.57 `AutoTokenizer`
    still finds upstream's tokenizer where tokenizer_config.json names the class, because upstream's works with a
    text vocabulary; `pytest_hfmodels.transfo_xl.TransfoXLTokenizer` is always ours.

    Returns:
        Whether ours are registered now.
    """
    if working_implementation().name == "transformers":
        return False
    import transformers

    from pytest_hfmodels.transfo_xl.configuration import MODEL_TYPE, TransfoXLConfig
    from pytest_hfmodels.transfo_xl.heads import TransfoXLForSequenceClassification, TransfoXLLMHeadModel
    from pytest_hfmodels.transfo_xl.model import TransfoXLModel
    from pytest_hfmodels.transfo_xl.tokenizer import TransfoXLTokenizer

    # `exist_ok`: a second call, or upstream's own broken class.
    transformers.AutoConfig.register(MODEL_TYPE, TransfoXLConfig, exist_ok=True)
    transformers.AutoTokenizer.register(TransfoXLConfig, slow_tokenizer_class=TransfoXLTokenizer, exist_ok=True)
    for auto, model in (
        (transformers.AutoModel, TransfoXLModel),
        (transformers.AutoModelForCausalLM, TransfoXLLMHeadModel),
        (transformers.AutoModelForSequenceClassification, TransfoXLForSequenceClassification),
    ):
        auto.register(TransfoXLConfig, model, exist_ok=True)
    return True
