"""LLaVA's words after a text with an image (arXiv:2304.08485)."""

from suites.architectures import test_llava
from suites.architectures.checks import Media
from suites.architectures.processors import IMAGE, LLAVA_FILES

OF_FORWARD = test_llava.TestLlava


class TestLlavaGeneration(Media):
    model_class = OF_FORWARD.model_class
    model_type = "llava"
    since = OF_FORWARD.since
    needs = ("4.46", "texts with a token for each patch of an image")
    name = "drawn-llava-image"
    more = (IMAGE,)
    files = LLAVA_FILES
    seed = 1
    gain = 2.5
    fields = {
        **OF_FORWARD.fields,
        "text_config": {**OF_FORWARD.fields["text_config"], "vocab_size": 37},
        "image_token_index": 36,
        "pad_token_id": 0,
    }
    switch = OF_FORWARD.switch
    weights = OF_FORWARD.weights.replace("36x16", "37x16")
