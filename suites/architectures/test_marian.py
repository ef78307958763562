"""Marian: sinusoidal positions."""

from suites.architectures.checks import SEQ2SEQ, EncoderDecoder


class TestMarian(EncoderDecoder):
    model_class = "MarianMTModel"
    model_type = "marian"
    sentencepiece = True
    seed = 4
    fields = {**SEQ2SEQ, "scale_embedding": False}
    switch = {"scale_embedding": True}
    weights = """
    1x36: final_logits_bias
    16: model.decoder.layers.{0,1}.{encoder_attn,self_attn}.{k_proj,out_proj,q_proj,v_proj}.bias
    16: model.decoder.layers.{0,1}.encoder_attn_layer_norm.{bias,weight}
    16: model.{decoder,encoder}.layers.{0,1}.{fc2,final_layer_norm,self_attn_layer_norm}.bias
    16: model.{decoder,encoder}.layers.{0,1}.{final_layer_norm,self_attn_layer_norm}.weight
    16: model.encoder.layers.{0,1}.self_attn.{k_proj,out_proj,q_proj,v_proj}.bias
    16x16: model.decoder.layers.{0,1}.{encoder_attn,self_attn}.{k_proj,out_proj,q_proj,v_proj}.weight
    16x16: model.encoder.layers.{0,1}.self_attn.{k_proj,out_proj,q_proj,v_proj}.weight
    24: model.{decoder,encoder}.layers.{0,1}.fc1.bias
    24x16: model.{decoder,encoder}.layers.{0,1}.fc1.weight
    16x24: model.{decoder,encoder}.layers.{0,1}.fc2.weight
    36x16: model.shared.weight
    """
