"""Encoders, encoder-decoders and models of images: positions, pooling, gates."""

from __future__ import annotations

from tests.mutations import architectures as observe
from tests.mutations.fault import Fault
from tests.mutations.patches import edited

FAULTS = (
    Fault(
        "t5-buckets-of-the-default-distance",
        "T5 ignores relative_attention_max_distance.",
        reference="huggingface/transformers#16155",
        shown_by=lambda: observe.generated("t5", relative_attention_max_distance=6),
        patch=lambda: edited(
            "transformers.models.t5.modeling_t5:T5Attention._relative_position_bucket",
            ("math.log(max_distance / max_exact)", "math.log(128 / max_exact)"),
        ),
    ),
    Fault(
        "t5-encoder-looks-one-way",
        "T5's encoder does not distinguish words before from words after.",
        reference="huggingface/transformers#8518",
        shown_by=lambda: observe.outputs("t5"),
        patch=lambda: edited(
            "transformers.models.t5.modeling_t5:T5Attention._relative_position_bucket",
            ("(relative_position > 0).to(torch.long)", "(relative_position > 10**9).to(torch.long)"),
        ),
    ),
    Fault(
        "t5-gate-lost",
        "T5's gated feed-forward leaves out its gate.",
        reference="huggingface/transformers#17420",
        shown_by=lambda: observe.outputs("t5"),
        patch=lambda: edited(
            "transformers.models.t5.modeling_t5:T5DenseGatedActDense.forward",
            ("hidden_gelu * hidden_linear", "hidden_linear"),
        ),
    ),
    Fault(
        "roberta-positions-start-late",
        "RoBERTa's positions start one too late.",
        reference="huggingface/transformers#19265",
        shown_by=lambda: observe.outputs("roberta"),
        patch=lambda: edited(
            "transformers.models.roberta.modeling_roberta:RobertaEmbeddings.forward",
            (
                "position_ids = create_position_ids_from_input_ids(",
                "position_ids = 1 + create_position_ids_from_input_ids(",
            ),
        ),
    ),
    Fault(
        "bert-token-types-lost",
        "BERT leaves out the vectors of token types.",
        reference="huggingface/transformers#263",
        shown_by=lambda: observe.outputs("bert"),
        patch=lambda: edited(
            "transformers.models.bert.modeling_bert:BertEmbeddings.forward",
            ("inputs_embeds + token_type_embeddings", "inputs_embeds"),
        ),
    ),
    Fault(
        "bert-pools-the-last-word",
        "BERT's pooler reads the last word instead of the first.",
        reference="huggingface/transformers#415",
        shown_by=lambda: observe.outputs("bert"),
        patch=lambda: edited(
            "transformers.models.bert.modeling_bert:BertPooler.forward",
            ("hidden_states[:, 0]", "hidden_states[:, -1]"),
        ),
    ),
    Fault(
        "distilbert-pools-the-last-word",
        "DistilBERT's classifier reads the last word.",
        reference="huggingface/transformers#2768",
        shown_by=lambda: observe.outputs("distilbert"),
        patch=lambda: edited(
            "transformers.models.distilbert.modeling_distilbert:DistilBertForSequenceClassification.forward",
            ("hidden_state[:, 0]", "hidden_state[:, -1]"),
        ),
    ),
    Fault(
        "mpnet-directions-swapped",
        "MPNet swaps words before and words after.",
        reference="huggingface/transformers#8971",
        shown_by=lambda: observe.outputs("mpnet"),
        patch=lambda: edited(
            "transformers.models.mpnet.modeling_mpnet:MPNetEncoder.relative_position_bucket",
            ("n = -relative_position", "n = relative_position"),
        ),
    ),
    Fault(
        "bart-positions-not-offset",
        "BART's positions start one too early.",
        reference="huggingface/transformers#22359",
        shown_by=lambda: observe.outputs("bart"),
        patch=lambda: edited(
            "transformers.models.bart.modeling_bart:BartLearnedPositionalEmbedding.forward",
            ("position_ids + self.offset", "position_ids + self.offset - 1"),
        ),
    ),
    Fault(
        "clip-pools-the-lowest-word",
        "CLIP's text model pools the word with the lowest id instead of the highest, the end.",
        reference="huggingface/transformers#24777",
        shown_by=lambda: observe.outputs("clip"),
        patch=lambda: edited(
            "transformers.models.clip.modeling_clip:CLIPTextTransformer.forward",
            (
                "input_ids.to(dtype=torch.int, device=last_hidden_state.device).argmax(dim=-1),",
                "input_ids.to(dtype=torch.int, device=last_hidden_state.device).argmin(dim=-1),",
            ),
        ),
    ),
    Fault(
        "clip-vectors-not-normalised",
        "CLIP compares texts that are not normalised.",
        reference="huggingface/transformers#18639",
        shown_by=lambda: observe.outputs("clip"),
        patch=lambda: edited(
            "transformers.models.clip.modeling_clip:CLIPModel.forward",
            ("text_embeds = text_embeds / _get_vector_norm(text_embeds)", "pass"),
        ),
    ),
    Fault(
        "llava-layer-off-by-one",
        "LLaVA takes the vision model's last layer.",
        reference="vllm-project/vllm#13514",
        shown_by=lambda: observe.image_outputs("llava"),
        patch=lambda: edited(
            "transformers.models.llava.modeling_llava:LlavaModel.get_image_features",
            ("image_outputs.hidden_states[vision_feature_layer]", "image_outputs.hidden_states[-1]"),
        ),
    ),
    Fault(
        "llava-class-token-kept",
        "LLaVA drops the last patch instead of the class token.",
        reference="huggingface/transformers#35052",
        shown_by=lambda: observe.image_outputs("llava"),
        patch=lambda: edited(
            "transformers.models.llava.modeling_llava:LlavaModel.get_image_features",
            (
                "selected_image_feature = selected_image_feature[:, 1:]",
                "selected_image_feature = selected_image_feature[:, :-1]",
            ),
        ),
    ),
    Fault(
        "vit-pools-the-last-patch",
        "ViT's classifier reads the last patch.",
        reference="huggingface/transformers#10950",
        shown_by=lambda: observe.outputs("vit"),
        patch=lambda: edited(
            "transformers.models.vit.modeling_vit:ViTForImageClassification.forward",
            ("sequence_output[:, 0, :]", "sequence_output[:, -1, :]"),
        ),
    ),
)
