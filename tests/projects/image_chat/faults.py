"""Faults of an assistant that sees."""

from tests.mutations.patches import edited
from tests.projects.fault import ProjectFault

FAULTS = (
    ProjectFault(
        "images-not-normalized",
        "The image processor scales an image, and neither shifts nor divides its channels.",
        reference="huggingface/transformers#31081",
        patch=lambda: edited(
            "transformers.models.clip.image_processing_clip:CLIPImageProcessor.preprocess",
            (
                "mean=image_mean, std=image_std, input_data_format=input_data_format",
                "mean=[0.0] * 3, std=[1.0] * 3, input_data_format=input_data_format",
            ),
        ),
        test="test_reply",
        cause="preprocessor",
    ),
    ProjectFault(
        "first-patch-dropped",
        "The model takes the last patch of an image off in place of the class token.",
        reference="huggingface/transformers#29518",
        patch=lambda: edited(
            "transformers.models.llava.modeling_llava:LlavaModel.get_image_features",
            (
                "selected_image_feature = selected_image_feature[:, 1:]\n        else",
                "selected_image_feature = selected_image_feature[:, :-1]\n        else",
            ),
        ),
        test="test_captions",
        cause="forward",
        verdict="drift",
    ),
    ProjectFault(
        "generation-prompt-left-out",
        "The processor renders a conversation without the words that open the reply.",
        reference="huggingface/transformers#34533",
        patch=lambda: edited(
            "transformers.processing_utils:ProcessorMixin.apply_chat_template",
            (
                '        tokenize = processed_kwargs["template_kwargs"].pop("tokenize", False)',
                '        processed_kwargs["template_kwargs"]["add_generation_prompt"] = False\n'
                '        tokenize = processed_kwargs["template_kwargs"].pop("tokenize", False)',
            ),
        ),
        test="test_reply",
        cause="chat-template",
    ),
)
