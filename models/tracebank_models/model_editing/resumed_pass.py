"""A forward pass that begins after a block: what the blocks up to there give is known, and they do not run again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from tracebank_models.language_model.blocks import block_path


def with_stream(output: Any, stream: Tensor) -> Any:
    """What a block gave back, with another stream in it: some give a tensor, some a tuple that begins with it."""
    return stream if isinstance(output, Tensor) else type(output)((stream, *output[1:]))


@contextmanager
def resumed_after(model: PreTrainedModel, layer: int, output: Any) -> Iterator[None]:
    """Have a block give a known output, and no block before it run.

    Args:
        model: The model.
        layer: Number of the block.
        output: What it gives, of the kind that it gives by itself.
    """
    blocks = list(model.get_submodule(block_path(model)).children())[: layer + 1]
    before = [block.__dict__.get("forward") for block in blocks]  # what other hooks may have put there
    try:
        for block in blocks:
            block.__dict__["forward"] = lambda *_arguments, **_named: output
        yield
    finally:
        for block, forward in zip(blocks, before, strict=True):
            del block.__dict__["forward"]
            if forward is not None:
                block.__dict__["forward"] = forward
