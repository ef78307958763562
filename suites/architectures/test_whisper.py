"""Whisper: a spectrogram in, words out (arXiv:2212.04356)."""

from suites.architectures.checks import Other


class TestWhisper(Other):
    model_class = "WhisperForConditionalGeneration"
    model_type = "whisper"
    fields = {
        "vocab_size": 60,
        "num_mel_bins": 8,
        "d_model": 16,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 24,
        "decoder_ffn_dim": 24,
        "max_source_positions": 50,
        "max_target_positions": 32,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "decoder_start_token_id": 2,
        "suppress_tokens": None,
        "begin_suppress_tokens": None,
    }
    switch = {"activation_function": "relu"}
    without = (*Other.without, "test_outputs")  # it generates; see test_whisper_generation
    weights = """
    32x16: model.decoder.embed_positions.weight
    60x16: model.decoder.embed_tokens.weight
    16: model.decoder.layer_norm.{bias,weight}
    16: model.decoder.layers.{0,1}.{encoder_attn,self_attn}.{out_proj,q_proj,v_proj}.bias
    16: model.decoder.layers.{0,1}.encoder_attn_layer_norm.{bias,weight}
    16: model.{decoder,encoder}.layers.{0,1}.{fc2,final_layer_norm,self_attn_layer_norm}.bias
    16: model.{decoder,encoder}.layers.{0,1}.{final_layer_norm,self_attn_layer_norm}.weight
    16: model.encoder.{conv1,conv2,layer_norm}.bias model.encoder.layer_norm.weight
    16: model.encoder.layers.{0,1}.self_attn.{out_proj,q_proj,v_proj}.bias
    16x16: model.decoder.layers.{0,1}.{encoder_attn,self_attn}.{k_proj,out_proj,q_proj,v_proj}.weight
    16x16: model.encoder.layers.{0,1}.self_attn.{k_proj,out_proj,q_proj,v_proj}.weight
    24: model.{decoder,encoder}.layers.{0,1}.fc1.bias
    24x16: model.{decoder,encoder}.layers.{0,1}.fc1.weight
    16x24: model.{decoder,encoder}.layers.{0,1}.fc2.weight
    16x8x3: model.encoder.conv1.weight
    16x16x3: model.encoder.conv2.weight
    50x16: model.encoder.embed_positions.weight
    """
