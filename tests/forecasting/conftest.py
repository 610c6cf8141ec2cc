"""Weights of a foundation model, tiny and random."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a TimesFM 2.5 that sees 8 ticks a patch and says 32."""
    from transformers import TimesFm2_5Config, TimesFm2_5ModelForPrediction

    folder = str(tmp_path_factory.mktemp("weights"))
    sizes = {"hidden_size": 16, "intermediate_size": 16, "head_dim": 8, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "output_quantile_len": 32}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = TimesFm2_5Config(**sizes, **heads, patch_length=8, horizon_length=32, context_length=64)
        TimesFm2_5ModelForPrediction(config).save_pretrained(folder)
    return folder
