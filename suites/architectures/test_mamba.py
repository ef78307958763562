"""Mamba: a selective state space instead of attention (arXiv:2312.00752)."""

from suites.architectures.checks import SMALL, Decoder


class TestMamba(Decoder):
    model_class = "MambaForCausalLM"
    model_type = "mamba"
    lacks = ("test_attention", "test_static_cache")
    since = "4.39"
    seed = 1
    gain = 3.5
    fields = {
        **SMALL,
        "tie_word_embeddings": False,
        "state_size": 4,
        "conv_kernel": 3,
        "time_step_rank": 4,
        "expand": 2,
    }
    switch = {"hidden_act": "gelu"}
    beams_cached = False  # upstream does not reorder the state with the beams; test_cache says so
    weights = """
    36x16: backbone.embeddings.weight lm_head.weight
    24x4: backbone.layers.{0,1}.mixer.A_log backbone.layers.{0,1}.mixer.dt_proj.weight
    24: backbone.layers.{0,1}.mixer.D backbone.layers.{0,1}.mixer.{conv1d,dt_proj}.bias
    24x1x3: backbone.layers.{0,1}.mixer.conv1d.weight
    48x16: backbone.layers.{0,1}.mixer.in_proj.weight
    16x24: backbone.layers.{0,1}.mixer.out_proj.weight
    12x24: backbone.layers.{0,1}.mixer.x_proj.weight
    16: backbone.layers.{0,1}.norm.weight backbone.norm_f.weight
    """
