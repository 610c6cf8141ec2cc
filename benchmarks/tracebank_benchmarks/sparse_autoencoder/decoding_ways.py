"""Where compiled loops, dense and sparse products win: selection, and decoding with its gradients, by shape.

Rounds alternate between the ways, and times are medians of processor time on one thread. The figures beside
`sparse_products.way_of` come from here: run it with `python -m tracebank_benchmarks.sparse_autoencoder.decoding_ways`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Annotated, Final, get_args
from unittest import mock

import torch
import typer

from tracebank_models.sparse_autoencoder import sparse_products
from tracebank_models.sparse_autoencoder.sparse_products import Way, encode_top_k, reconstruction_loss

SHAPES: Final = ((64, 64, 8), (64, 128, 16), (64, 512, 16), (128, 512, 16), (128, 1024, 16), (256, 1024, 32))
"""d_in, d_sae and k."""
WAYS: Final[tuple[Way, ...]] = get_args(Way)


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def measure(d_in: int, d_sae: int, k: int, tokens: int, rounds: int) -> dict[Way, tuple[float, float]]:
    """Return the seconds of selection, and of decoding with its gradients, by way."""
    generator = torch.Generator().manual_seed(0)
    encoder = (torch.randn(d_sae, d_in, generator=generator) * 0.2).requires_grad_()
    x = torch.randn(tokens, d_in, generator=generator)
    bias, shift = torch.zeros(d_sae, requires_grad=True), torch.zeros(d_in, requires_grad=True)
    group = torch.zeros(d_sae, dtype=torch.int32)
    codes = encode_top_k(x, encoder.detach(), bias.detach(), k)

    def step() -> None:
        loss, _ = reconstruction_loss(encoder, bias, encoder, shift, x, codes, group, None)
        loss.backward()  # type: ignore[no-untyped-call]

    found: dict[Way, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for _ in range(rounds + 1):
        for way in WAYS:
            with mock.patch.object(sparse_products, "way_of", return_value=way):
                selecting = _seconds(lambda: encode_top_k(x, encoder.detach(), bias.detach(), k))
                found[way].append((selecting, _seconds(step)))
    return {
        way: (statistics.median(a for a, _ in times[1:]), statistics.median(b for _, b in times[1:]))
        for way, times in found.items()
    }


def main(
    tokens: Annotated[int, typer.Option(min=1)] = 1024,
    rounds: Annotated[int, typer.Option(min=1)] = 11,
    large: Annotated[bool, typer.Option("--large", help="Also 512 -> 4,096.")] = False,
) -> None:
    """Print milliseconds by shape and way: selection + decoding with its gradients."""
    torch.set_num_threads(1)
    typer.echo(f"{'shape':>14}  {'k':>3}  " + "  ".join(f"{way:>15}" for way in WAYS))
    for d_in, d_sae, k in (*SHAPES, *([(512, 4096, 32)] if large else [])):
        found = measure(d_in, d_sae, k, tokens, rounds)
        cells = (f"{1e3 * selecting:.2f} + {1e3 * rest:.2f}" for selecting, rest in found.values())
        typer.echo(f"{d_in:>5} -> {d_sae:>5}  {k:>3}  " + "  ".join(f"{cell:>15}" for cell in cells))


if __name__ == "__main__":
    typer.run(main)
