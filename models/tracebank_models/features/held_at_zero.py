"""What stands in a site's place while features of its dictionary are held at zero, for many choices of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from tracebank_models.features.sparse_coder import SparseCoder, encoded


def held(features: Iterable[int], width: int) -> Tensor:
    """Which features of a dictionary are held at zero, as one choice: bool, (1, features).

    Args:
        features: Their numbers.
        width: How many features the dictionary has.

    Raises:
        ValueError: A number is beyond the dictionary, or is there twice.
    """
    numbers = list(features)
    if wrong := [number for number in numbers if not 0 <= number < width]:
        raise ValueError(f"features: {wrong[0]} is not allowed: 0 to {width - 1}")
    if len(set(numbers)) != len(numbers):
        raise ValueError("features: one is there twice: allowed is each once")
    found = torch.zeros(1, width, dtype=torch.bool)
    found[0, numbers] = True
    return found


def without_features(site: str, coder: SparseCoder, off: Tensor, *, error_kept: bool) -> Callable[[Tensor], Tensor]:
    """A function of a site's output (sequences, positions, width), for `activations.sites.replaced`.

    The output becomes its reconstruction without some features. The reconstruction's error then acts too, and may
    outweigh a few features; with the error kept, the output loses what the features wrote and nothing else.

    Args:
        site: Name of the site.
        coder: Its dictionary.
        off: Features at zero, bool (choices, features). The sequences are as many parts of equal size, one a choice.
        error_kept: Whether the error of the reconstruction is added again.

    Raises:
        ValueError: (when it is called) the dictionary is of another width, or the sequences have no such parts.
    """

    def change(output: Tensor) -> Tensor:
        flat = output.flatten(0, 1)
        codes = encoded(site, coder, flat)
        if codes.shape[1] != off.shape[1] or len(output) % len(off):
            raise ValueError(
                f"off: {tuple(off.shape)} is not allowed for {len(output)} sequences and {codes.shape[1]} features"
            )
        kept = codes.view(len(off), -1, off.shape[1]) * ~off.to(codes.device)[:, None]
        restored = coder.decode(kept.view_as(codes))
        if restored.shape != flat.shape:
            raise ValueError(
                f"dictionary: that of {site!r} gives back {tuple(restored.shape)}: allowed is {tuple(flat.shape)}"
            )
        if error_kept:
            restored = restored + (flat - coder.decode(codes))
        return restored.to(output.dtype).view_as(output)

    return change
