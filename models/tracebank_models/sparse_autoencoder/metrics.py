"""What a dictionary is worth: reconstruction, sparsity, and how much of the language model's loss it keeps.

Everything is summed over batches in double precision, so that memory does not grow with the corpus and the numbers do
not depend on how it was cut. Each result is rows of (dictionary, seed, metric, value, tokens).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl
import torch
from torch import Tensor

from tracebank_models.sparse_autoencoder.architectures import Dictionary
from tracebank_models.sparse_autoencoder.precision import all_finite, doubles

METRIC_SCHEMA: Final[dict[str, type[pl.DataType]]] = {
    "dictionary": pl.String,
    "seed": pl.Int64,
    "metric": pl.String,
    "value": pl.Float64,
    "tokens": pl.Int64,
}
"""Columns of a metric's rows."""
_ROWS: Final = 4096


def metric_rows(dictionary: Dictionary, values: Mapping[str, float], tokens: int) -> pl.DataFrame:
    """Return values as rows that name their dictionary and seed."""
    config = dictionary.config
    rows = [(config.name, config.seed, metric, value, tokens) for metric, value in values.items()]
    return pl.DataFrame(rows, schema=METRIC_SCHEMA, orient="row")


class ReconstructionMetrics:
    """Metrics of one dictionary over raw activations, batch by batch.

    FVU is sum (x - x_hat)^2 / sum (x - mean)^2, over all tokens and dimensions: a ratio of sums, not a mean of the
    tokens' ratios. The relative reconstruction bias is sum |x_hat|^2 / sum <x, x_hat>: below 1 means shrinkage.
    """

    def __init__(self, dictionary: Dictionary) -> None:
        self.dictionary = dictionary
        config = dictionary.config
        self.tokens = 0
        self.fired = torch.zeros(config.d_sae, dtype=torch.int64)
        self.maximum = torch.zeros(config.d_sae)
        self._mean = torch.zeros(config.width, dtype=torch.float64)
        self._spread = 0.0
        self._sums = dict.fromkeys(("error", "l1", "output", "product", "cosine"), 0.0)

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Add raw activations, (tokens, width).

        Raises:
            ValueError: The width is not the dictionary's, or a value is not finite.
        """
        if not all_finite(x):
            raise ValueError(f"activations for {self.dictionary.config.name} hold NaN or infinity")
        for start in range(0, len(x), _ROWS):
            self._update(x[start : start + _ROWS])

    def _update(self, x: Tensor) -> None:
        codes = self.dictionary.encode(x)
        output, x = doubles(self.dictionary.decode(codes)), doubles(x)
        self._merge_spread(x)
        self.fired += (codes > 0).sum(0).cpu()
        self.maximum = torch.maximum(self.maximum, codes.amax(0).cpu())
        product = (x * output).sum(1)
        lengths = (x.norm(dim=1) * output.norm(dim=1)).clamp_min(1e-12)
        found = {
            "error": (x - output).square().sum(),
            "l1": doubles(codes.sum(1)).sum(),
            "output": output.square().sum(),
            "product": product.sum(),
            "cosine": (product / lengths).sum(),
        }
        for name, value in found.items():
            self._sums[name] += float(value)

    def _merge_spread(self, x: Tensor) -> None:
        mean, n = x.mean(0), len(x)
        shift = mean.cpu() - self._mean
        total = self.tokens + n
        between = float(shift.square().sum()) * self.tokens * n / total
        self._spread += float((x - mean).square().sum()) + between
        self._mean += shift * (n / total)
        self.tokens = total

    def density(self) -> pl.DataFrame:
        """Return `feature`, `density` (share of tokens), `log10_density` (null if dead) and `max_activation`."""
        frame = pl.DataFrame(
            {
                "feature": range(len(self.fired)),
                "density": (self.fired.double() / max(1, self.tokens)).numpy(),
                "max_activation": self.maximum.double().numpy(),
            }
        )
        log = pl.when(pl.col("density") > 0).then(pl.col("density").log10())
        return frame.select("feature", "density", log.alias("log10_density"), "max_activation")

    def rows(self) -> pl.DataFrame:
        """Return all metrics as rows.

        Raises:
            ValueError: No token was added.
        """
        if self.tokens == 0:
            raise ValueError(f"tokens = 0: {self.dictionary.config.name} was evaluated on an empty corpus")
        n, sums, density = self.tokens, self._sums, self.fired.double() / self.tokens
        fvu = sums["error"] / self._spread if self._spread > 0 else float("nan")
        values = {
            "fvu": fvu,
            "explained_variance": 1 - fvu,
            "mse": sums["error"] / n / self.dictionary.config.width,
            "l0": float(self.fired.sum()) / n,
            "l1": sums["l1"] / n,
            "dead_share": float((self.fired == 0).double().mean()),
            "density_above_1_percent": float((density > 0.01).double().mean()),
            "density_above_10_percent": float((density > 0.1).double().mean()),
            "relative_reconstruction_bias": sums["output"] / sums["product"] if sums["product"] else float("nan"),
            "cosine": sums["cosine"] / n,
        }
        return metric_rows(self.dictionary, values, n)


class LossRecovered:
    """How much of a language model's prediction survives the dictionary: (ablated - patched) / (ablated - clean).

    Ablated means that the site is set to zero. For KL the clean model is the reference, so its own is 0.
    """

    def __init__(self, dictionary: Dictionary) -> None:
        self.dictionary = dictionary
        self.tokens = 0
        self._entropy = dict.fromkeys(("clean", "patched", "ablated"), 0.0)
        self._kl = dict.fromkeys(("patched", "ablated"), 0.0)

    @torch.no_grad()
    def update(self, clean: Tensor, patched: Tensor, ablated: Tensor, tokens: Tensor, mask: Tensor) -> None:
        """Add texts.

        Args:
            clean: Logits of the model as it is, (texts, positions, vocabulary).
            patched: With the site replaced by its reconstruction.
            ablated: With the site set to zero.
            tokens: int64, (texts, positions); position i predicts token i + 1.
            mask: bool, (texts, positions): False is padding, which neither predicts nor is predicted.
        """
        counted = mask[:, :-1] & mask[:, 1:]
        wanted = tokens[:, 1:][counted]
        logits = {"clean": clean, "patched": patched, "ablated": ablated}
        found = {name: values[:, :-1][counted].double().log_softmax(-1) for name, values in logits.items()}
        for name, values in found.items():
            self._entropy[name] -= float(values.gather(1, wanted[:, None]).sum())
        for name in self._kl:
            self._kl[name] += float((found["clean"].exp() * (found["clean"] - found[name])).sum())
        self.tokens += len(wanted)

    def rows(self) -> pl.DataFrame:
        """Return the mean losses, in nats per token, and the shares recovered.

        Raises:
            ValueError: No token was predicted.
        """
        if self.tokens == 0:
            raise ValueError(f"tokens = 0: {self.dictionary.config.name} was evaluated on an empty corpus")
        ce, kl = self._entropy, self._kl
        gap = ce["ablated"] - ce["clean"]
        values = {f"ce_{name}": value / self.tokens for name, value in ce.items()}
        values |= {f"kl_{name}": value / self.tokens for name, value in kl.items()}
        values["ce_recovered"] = (ce["ablated"] - ce["patched"]) / gap if gap else float("nan")
        values["kl_recovered"] = 1 - kl["patched"] / kl["ablated"] if kl["ablated"] else float("nan")
        return metric_rows(self.dictionary, values, self.tokens)
