"""CLAP: texts and sounds in one space; windows over a spectrogram, every other one shifted (arXiv:2211.06687)."""

from suites.architectures.checks import TEXT, Pairs

SOUND = {
    "num_mel_bins": 8,
    "spec_size": 32,
    "window_size": 4,
    "patch_embeds_hidden_size": 8,
    "depths": [2, 1],
    "num_attention_heads": [2, 2],
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "mlp_ratio": 2.0,
    "projection_dim": 8,
}


class TestClap(Pairs):
    model_class = "ClapModel"
    model_type = "clap"
    lacks = ("test_attention",)
    seed = 5
    fields = {
        "text_config": {**TEXT, "type_vocab_size": 1, "projection_dim": 8},
        "audio_config": SOUND,
        "projection_dim": 8,
    }
    switch = {"audio_config": {**SOUND, "hidden_act": "relu"}}
    weights = """
    (): logit_scale_{a,t} @batch_norm.num_batches_tracked
    8: {audio,text}_projection.{linear1,linear2}.bias @batch_norm.{bias,running_mean,running_var,weight}
    8: @patch_embed.{norm.bias,norm.weight,proj.bias}
    8: @layers.0.blocks.{0,1}.{attention.self.query,attention.self.key,attention.self.value,attention.output.dense}.bias
    8: @layers.0.blocks.{0,1}.{layernorm_before,layernorm_after}.{bias,weight} @layers.0.blocks.{0,1}.output.dense.bias
    8x8: {audio,text}_projection.linear2.weight @layers.0.blocks.{0,1}.attention.output.dense.weight
    8x8: @layers.0.blocks.{0,1}.attention.self.{query,key,value}.weight
    49x2: @layers.{0.blocks.0,0.blocks.1,1.blocks.0}.attention.self.relative_position_bias_table
    16x16: @layers.{0.blocks.0,0.blocks.1,1.blocks.0}.attention.self.relative_position_index
    16: @layers.0.blocks.{0,1}.intermediate.dense.bias @norm.{bias,weight} @layers.1.blocks.0.output.dense.bias
    16: @layers.1.blocks.0.attention.{self.query,self.key,self.value,output.dense}.bias
    16: @layers.1.blocks.0.{layernorm_before,layernorm_after}.{bias,weight} text_model.embeddings.LayerNorm.weight
    16: ^{attention.output,output}.LayerNorm.{bias,weight} ^{attention.output,output}.dense.bias
    16: ^attention.self.{query,key,value}.bias text_model.{embeddings.LayerNorm,pooler.dense}.bias
    16x8: @layers.0.blocks.{0,1}.intermediate.dense.weight
    8x16: @layers.0.blocks.{0,1}.output.dense.weight {audio,text}_projection.linear1.weight
    8x1x4x4: @patch_embed.proj.weight
    16x16: @layers.1.blocks.0.attention.{self.query,self.key,self.value,output.dense}.weight
    16x16: ^attention.{self.query,self.key,self.value,output.dense}.weight text_model.pooler.dense.weight
    32: @layers.1.blocks.0.intermediate.dense.bias @layers.0.downsample.norm.{bias,weight}
    32x16: @layers.1.blocks.0.intermediate.dense.weight
    16x32: @layers.1.blocks.0.output.dense.weight @layers.0.downsample.reduction.weight
    24: ^intermediate.dense.bias
    24x16: ^intermediate.dense.weight
    16x24: ^output.dense.weight
    1x64: text_model.embeddings.{position_ids,token_type_ids}
    36x16: text_model.embeddings.word_embeddings.weight
    64x16: text_model.embeddings.position_embeddings.weight
    1x16: text_model.embeddings.token_type_embeddings.weight
    """.replace("@", "audio_model.audio_encoder.").replace("^", "text_model.encoder.layer.{0,1}.")
