"""Ten faults that were written without looking at what the projects' tests and snapshots state.

Each is a pair of the project and its fault. `test=""` says that no test of the project fails for it: it is missed.
"""

from tests.mutations.patches import edited
from tests.projects.fault import ProjectFault

FAULTS = (
    (
        "image_text",
        ProjectFault(
            "pooled-at-the-highest-id",
            "CLIP takes a text's vector at its highest id, also where the configuration names the end token.",
            reference="huggingface/transformers#24650",
            patch=lambda: edited(
                "transformers.models.clip.modeling_clip:CLIPTextTransformer.forward",
                ("if self.eos_token_id == 2:", "if True:"),
            ),
            test="test_matching",
            cause="forward",
            verdict="drift",
            later=True,
        ),
    ),
    (
        "pair_classifier",
        ProjectFault(
            "given-token-types-replaced-by-the-buffer",
            "BERT reads its registered token types, all 0, also where token types are given.",
            reference="huggingface/transformers#11252",
            patch=lambda: edited(
                "transformers.models.bert.modeling_bert:BertEmbeddings.forward",
                ("if token_type_ids is None:", "if True:"),
            ),
            test="test_pairs",
            cause="forward",
            later=True,
        ),
    ),
    (
        "tagger",
        ProjectFault(
            "adjacent-entities-merged",
            "The pipeline joins two neighbouring entities of one type, although the second starts with a B- tag.",
            reference="huggingface/transformers#5966",
            patch=lambda: edited(
                "transformers.pipelines.token_classification:TokenClassificationPipeline.group_entities",
                ('if tag == last_tag and bi != "B":', "if tag == last_tag:"),
            ),
            test="test_entities",
            cause=None,
            later=True,
        ),
    ),
    (
        "sentence_encoder",
        ProjectFault(
            "gelu-approximated",
            "The activation gelu uses the faster approximation by tanh.",
            reference="huggingface/transformers#15397",
            patch=lambda: edited(
                "transformers.activations:GELUActivation.forward",
                ("return self.act(input)", 'return nn.functional.gelu(input, approximate="tanh")'),
            ),
            test="test_one_text",
            cause="forward",
            verdict="drift",
            later=True,
        ),
    ),
    (
        "vision_classifier",
        ProjectFault(
            "resized-bicubic",
            "ViT's image processor resizes by bicubic interpolation, also where the checkpoint names none.",
            reference="huggingface/transformers#43313",
            patch=lambda: edited(
                "transformers.models.vit.image_processing_vit:ViTImageProcessor.__init__",
                ("self.resample = resample", "self.resample = PILImageResampling.BICUBIC"),
            ),
            test="test_labels",
            cause="preprocessor",
            later=True,
        ),
    ),
    (
        "speech",
        ProjectFault(
            "variance-floor-raised",
            "The feature extractor adds 1e-5 to the variance, as before 4.11, instead of 1e-7.",
            reference="huggingface/transformers#13512",
            patch=lambda: edited(
                "transformers.models.wav2vec2.feature_extraction_wav2vec2:"
                "Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm",
                ("vector[:length].var() + 1e-7", "vector[:length].var() + 1e-5"),
                ("np.sqrt(x.var() + 1e-7)", "np.sqrt(x.var() + 1e-5)"),
            ),
            test="test_a_quiet_sound",
            cause="preprocessor",
            later=True,
        ),
    ),
    (
        "reranker",
        ProjectFault(
            "special-tokens-of-the-file-lost",
            "A fast tokenizer replaces the post-processor of tokenizer.json with one without special tokens.",
            reference="huggingface/transformers#46722",
            patch=lambda: edited(
                "transformers.tokenization_utils_fast:PreTrainedTokenizerFast.__init__",
                (
                    "self._tokenizer = fast_tokenizer",
                    "self._tokenizer = fast_tokenizer\n"
                    "        from tokenizers.processors import TemplateProcessing\n"
                    '        self._tokenizer.post_processor = TemplateProcessing(single="$A", pair="$A $B:1")',
                ),
            ),
            test="test_scores",
            cause="tokenizer",
            later=True,
        ),
    ),
    (
        "adapter",
        ProjectFault(
            "adapter-weights-not-found",
            "from_pretrained of an adapter removes half of PEFT's prefix from the weights' names, and loads none.",
            reference="huggingface/transformers#34068",
            patch=lambda: edited(
                "transformers.integrations.peft:PeftAdapterMixin.load_adapter",
                ("new_key = key[len(prefix) :]", 'new_key = key[len("base_model.") :]'),
            ),
            test="",
            cause=None,
            later=True,
        ),
    ),
    (
        "decoder",
        ProjectFault(
            "chat-with-special-tokens-twice",
            "apply_chat_template lets the tokenizer add its special tokens to the rendered template.",
            reference="huggingface/transformers#37686",
            patch=lambda: edited(
                "transformers.tokenization_utils_base:PreTrainedTokenizerBase.apply_chat_template",
                ("add_special_tokens=False,", "add_special_tokens=True,"),
            ),
            test="",
            cause=None,
            later=True,
        ),
    ),
    (
        "encoder_decoder",
        ProjectFault(
            "encoder-mask-not-passed-on",
            "generate does not pass the encoder's mask to the decoder, whose cross-attention then reads the padding.",
            reference="huggingface/transformers#36020",
            patch=lambda: edited(
                "transformers.generation.utils:GenerationMixin.prepare_inputs_for_generation",
                ("if encoder_attention_mask is not None:", "if False:"),
            ),
            test="test_batch",
            cause="forward",
            later=True,
        ),
    ),
)
