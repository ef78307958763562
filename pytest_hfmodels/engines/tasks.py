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
        heads: of transformers' auto classes (`CausalLM` of `AutoModelForCausalLM`); the first whose auto class has the
            checkpoint's class. No release has all of them. Names of the task's classes end with them.
        endings: other ends of such names.
    """

    heads: tuple[str, ...]
    endings: tuple[str, ...] = ()

    @property
    def auto(self) -> tuple[str, ...]:
        """The auto classes."""
        return tuple(f"AutoModelFor{head}" if head else "AutoModel" for head in self.heads)


TASKS: Mapping[Task, Loading] = {
    "text-generation": Loading(("CausalLM",), ("LMHeadModel", "DoubleHeadsModel")),
    "text-classification": Loading(("SequenceClassification",)),
    "text2text-generation": Loading(("Seq2SeqLM",), ("ForConditionalGeneration", "MTModel")),
    "token-classification": Loading(("TokenClassification",)),
    "fill-mask": Loading(("MaskedLM",), ("ForPreTraining",)),
    "feature-extraction": Loading(("", "TextEncoding")),
    "question-answering": Loading(("QuestionAnswering",)),
    "multiple-choice": Loading(("MultipleChoice",)),
    "table-question-answering": Loading(("TableQuestionAnswering",)),
    "document-question-answering": Loading(("DocumentQuestionAnswering",)),
    "visual-question-answering": Loading(("VisualQuestionAnswering",)),
    "image-text-to-text": Loading(("ImageTextToText", "Vision2Seq", "MultimodalLM"), ("VisionEncoderDecoderModel",)),
    "image-classification": Loading(("ImageClassification",)),
    "zero-shot-image-classification": Loading(
        ("ZeroShotImageClassification",), ("CLIPModel", "SiglipModel", "Siglip2Model")
    ),
    "image-segmentation": Loading(
        ("SemanticSegmentation", "InstanceSegmentation", "UniversalSegmentation", "ImageSegmentation"),
        ("ForSegmentation",),
    ),
    "object-detection": Loading(("ObjectDetection",)),
    "zero-shot-object-detection": Loading(("ZeroShotObjectDetection",)),
    "depth-estimation": Loading(("DepthEstimation",)),
    "keypoint-matching": Loading(("KeypointMatching",)),
    "mask-generation": Loading(("MaskGeneration",)),
    "image-to-image": Loading(("ImageToImage",), ("ForImageSuperResolution",)),
    "video-classification": Loading(("VideoClassification",)),
    "automatic-speech-recognition": Loading(
        ("SpeechSeq2Seq", "CTC", "TDT", "RNNT"), ("ForSpeechToText", "SpeechEncoderDecoderModel")
    ),
    "audio-classification": Loading(("AudioClassification",)),
    "audio-frame-classification": Loading(("AudioFrameClassification",)),
    "text-to-audio": Loading(("TextToWaveform", "TextToSpectrogram"), ("ForTextToSpeech", "VitsModel")),
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
_DISCRIMINATOR = "ElectraForPreTraining"  # finds replaced words; other classes ForPreTraining fill in hidden ones
_SOUND = ("num_mel_bins", "audio_config", "input_feat_per_channel", "feat_extract_norm")  # fields of models that hear


def canonical(task: object) -> Task:
    """Return a task by the name that `TASKS` has for it.

    Raises:
        OptionError: the task is unknown; the hint names the known ones.
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
    if name == _DISCRIMINATOR:
        return None
    if name.endswith("ForConditionalGeneration"):
        reads = "automatic-speech-recognition" if hears else "text2text-generation"
        return "image-text-to-text" if "vision_config" in config else reads
    if hears and name.endswith("ForSequenceClassification"):
        return "audio-classification"
    for task, loading in TASKS.items():
        if name.endswith((*(f"For{head}" for head in loading.heads if head), *loading.endings)):
            return task
    return None
