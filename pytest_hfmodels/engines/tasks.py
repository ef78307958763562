"""The Hub's tasks: which auto classes of transformers load a model for each, and which classes say so by their name.

Imports nothing heavy, so that a test's task is known before an engine is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_hfmodels.foundation.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_hfmodels.engines.base import Task


class Loading(NamedTuple):
    """How a task is loaded.

    Args:
        auto: auto classes of transformers; the first that has the checkpoint's class. No release has all of them.
        endings: how the names of the task's classes end, if that is not the end of an auto class.
    """

    auto: tuple[str, ...]
    endings: tuple[str, ...] = ()


TASKS: Mapping[Task, Loading] = {
    "text-generation": Loading(("AutoModelForCausalLM",), ("LMHeadModel", "DoubleHeadsModel")),
    "text-classification": Loading(("AutoModelForSequenceClassification",)),
    "text2text-generation": Loading(("AutoModelForSeq2SeqLM",), ("ForConditionalGeneration", "MTModel")),
    "token-classification": Loading(("AutoModelForTokenClassification",)),
    "fill-mask": Loading(("AutoModelForMaskedLM",), ("ForPreTraining",)),
    "feature-extraction": Loading(("AutoModel", "AutoModelForTextEncoding")),
    "question-answering": Loading(("AutoModelForQuestionAnswering",)),
    "multiple-choice": Loading(("AutoModelForMultipleChoice",)),
    "table-question-answering": Loading(("AutoModelForTableQuestionAnswering",)),
    "document-question-answering": Loading(("AutoModelForDocumentQuestionAnswering",)),
    "visual-question-answering": Loading(("AutoModelForVisualQuestionAnswering",)),
    "image-text-to-text": Loading(
        ("AutoModelForImageTextToText", "AutoModelForVision2Seq", "AutoModelForMultimodalLM"),
        ("VisionEncoderDecoderModel",),
    ),
    "image-classification": Loading(("AutoModelForImageClassification",)),
    "zero-shot-image-classification": Loading(
        ("AutoModelForZeroShotImageClassification",), ("CLIPModel", "SiglipModel", "Siglip2Model")
    ),
    "image-segmentation": Loading(
        (
            "AutoModelForSemanticSegmentation",
            "AutoModelForInstanceSegmentation",
            "AutoModelForUniversalSegmentation",
            "AutoModelForImageSegmentation",
        ),
        ("ForSegmentation",),
    ),
    "object-detection": Loading(("AutoModelForObjectDetection",)),
    "zero-shot-object-detection": Loading(("AutoModelForZeroShotObjectDetection",)),
    "depth-estimation": Loading(("AutoModelForDepthEstimation",)),
    "keypoint-matching": Loading(("AutoModelForKeypointMatching",)),
    "mask-generation": Loading(("AutoModelForMaskGeneration",)),
    "image-to-image": Loading(("AutoModelForImageToImage",), ("ForImageSuperResolution",)),
    "video-classification": Loading(("AutoModelForVideoClassification",)),
    "automatic-speech-recognition": Loading(
        ("AutoModelForSpeechSeq2Seq", "AutoModelForCTC", "AutoModelForTDT", "AutoModelForRNNT"),
        ("ForSpeechToText", "SpeechEncoderDecoderModel"),
    ),
    "audio-classification": Loading(("AutoModelForAudioClassification",)),
    "audio-frame-classification": Loading(("AutoModelForAudioFrameClassification",)),
    "text-to-audio": Loading(
        ("AutoModelForTextToWaveform", "AutoModelForTextToSpectrogram"), ("ForTextToSpeech", "VitsModel")
    ),
}
# Other names of the Hub and of pipelines for the same classes.
ALIASES: Mapping[str, Task] = {
    **dict.fromkeys(("summarization", "translation"), "text2text-generation"),
    **dict.fromkeys(("sentence-similarity", "image-feature-extraction"), "feature-extraction"),
    **dict.fromkeys(("sentiment-analysis", "text-ranking", "zero-shot-classification"), "text-classification"),
    **dict.fromkeys(("image-to-text", "video-text-to-text", "audio-text-to-text", "any-to-any"), "image-text-to-text"),
    "ner": "token-classification",
    "vqa": "visual-question-answering",
    "text-to-speech": "text-to-audio",
    "conversational": "text-generation",
}
_SOUND = ("num_mel_bins", "audio_config", "input_feat_per_channel", "feat_extract_norm")  # fields of models that hear


def canonical(task: object) -> Task:
    """Return a task by the name that `TASKS` has for it.

    Raises:
        OptionError: there is no such task; the hint names those that there are.
    """
    if isinstance(task, str) and (known := ALIASES.get(task, task)) in TASKS:
        return known
    raise OptionError(f"Unknown task {task!r:.60}.", hint=f"Give one of these, as text: {', '.join(TASKS)}.")


def infer(names: Iterable[str], config: Mapping[str, Any], tag: str = "") -> Task:
    """Return the task of a checkpoint: its classes say it, or else its model card's `pipeline_tag`.

    Args:
        names: of its classes (`architectures`).
        config: the fields of its `config.json`.
        tag: what the model card says; empty, and unknown tags, for nothing.
    """
    listed = list(names)
    found = next((task for name in listed if (task := of_class(name, config)) is not None), None)
    tagged = ALIASES.get(tag, tag)
    return found or (tagged if tagged in TASKS else "feature-extraction" if listed else "text-generation")


def of_class(name: str, config: Mapping[str, Any]) -> Task | None:
    """Return the task that the name of a class says; None for a model without a head."""
    hears = not config.keys().isdisjoint(_SOUND)
    if name.endswith("ForConditionalGeneration"):
        reads = "automatic-speech-recognition" if hears else "text2text-generation"
        return "image-text-to-text" if "vision_config" in config else reads
    if hears and name.endswith("ForSequenceClassification"):
        return "audio-classification"
    for task, loading in TASKS.items():
        endings = [auto.removeprefix("AutoModel") for auto in loading.auto]
        if name.endswith((*filter(None, endings), *loading.endings)):
            return task
    return None
