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

    def __init__(self, dictionary: Dictionary, most_per_token: int | None = None) -> None:
        """Start with nothing seen.

        Args:
            dictionary: The dictionary.
            most_per_token: Keep only so many codes of each token, those that write most, so that dictionaries of
                unlike L0 are compared at one that none exceeds; None keeps all.

        Raises:
            ValueError: No code would be kept.
        """
        if most_per_token is not None and most_per_token < 1:
            raise ValueError(f"most_per_token = {most_per_token}: must be at least 1")
        self.dictionary, self.most_per_token = dictionary, most_per_token
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
        codes = self._kept(self.dictionary.encode(x))
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

    def _kept(self, codes: Tensor) -> Tensor:
        if self.most_per_token is None or self.most_per_token >= codes.shape[1]:
            return codes
        rows = self.dictionary.decoder_rows() / self.dictionary.input_scale
        places = (codes * rows.norm(dim=1)).topk(self.most_per_token, sorted=False).indices
        return torch.zeros_like(codes).scatter(1, places, codes.gather(1, places))

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

    Ablated means that the site is set to zero, or to its mean. For KL the clean model is the reference, so its own is
    0. Where ablation costs nothing that can be told from chance there is nothing to recover: the share of cross entropy
    is NaN unless the gap, ablated - clean, is above three standard errors of the tokens' differences, clustered by
    text, since tokens of one text are no independent draws.
    """

    def __init__(self, dictionary: Dictionary) -> None:
        self.dictionary = dictionary
        self._texts: list[dict[str, Tensor]] = []

    @torch.no_grad()
    def update(
        self, clean: Tensor, patched: Tensor, ablated: Tensor, mean_ablated: Tensor, tokens: Tensor, mask: Tensor
    ) -> None:
        """Add texts.

        Args:
            clean: Logits of the model as it is, (texts, positions, vocabulary).
            patched: With the site replaced by its reconstruction.
            ablated: With the site set to zero.
            mean_ablated: With the site set to its mean.
            tokens: int64, (texts, positions); position i predicts token i + 1.
            mask: bool, (texts, positions): False is padding, which neither predicts nor is predicted.
        """
        counted = mask[:, :-1] & mask[:, 1:]
        reference = doubles(clean[:, :-1]).log_softmax(-1)
        wanted, kept = tokens[:, 1:, None].to(reference.device), counted.to(reference.device)
        by_token = {"tokens": kept.double(), "ce_clean": -reference.gather(2, wanted)[..., 0]}
        for name, logits in (("patched", patched), ("ablated", ablated), ("mean_ablated", mean_ablated)):
            found = doubles(logits[:, :-1]).log_softmax(-1)
            by_token[f"ce_{name}"] = -found.gather(2, wanted)[..., 0]
            by_token[f"kl_{name}"] = (reference.exp() * (reference - found)).sum(-1)
        self._texts.append({name: values.where(kept, 0).sum(1).cpu() for name, values in by_token.items()})

    def rows(self) -> pl.DataFrame:
        """Return the mean losses in nats per token, the shares recovered, and the standard errors of the gaps.

        Raises:
            ValueError: No token was predicted.
        """
        texts = (
            {name: torch.cat([part[name] for part in self._texts]) for name in self._texts[0]} if self._texts else {}
        )
        tokens = int(texts["tokens"].sum()) if texts else 0
        if tokens == 0:
            raise ValueError(f"tokens = 0: {self.dictionary.config.name} was evaluated on an empty corpus")
        values = {name: float(sums.sum()) / tokens for name, sums in texts.items() if name != "tokens"}
        for name, suffix in (("ablated", ""), ("mean_ablated", "_from_mean")):
            gap = values[f"ce_{name}"] - values["ce_clean"]
            error = _clustered_error(texts[f"ce_{name}"] - texts["ce_clean"], texts["tokens"])
            recovered = (values[f"ce_{name}"] - values["ce_patched"]) / gap if gap > 3 * error else float("nan")
            kl = values[f"kl_{name}"]
            values[f"ce_recovered{suffix}"] = recovered
            values[f"kl_recovered{suffix}"] = 1 - values["kl_patched"] / kl if kl else float("nan")
            values[f"ce_gap_standard_error{suffix}"] = error
        return metric_rows(self.dictionary, values, tokens)


def _clustered_error(sums: Tensor, counts: Tensor) -> float:
    """Return the standard error of a mean over tokens whose sums and counts are known by text; NaN of one text."""
    kept = counts > 0
    sums, counts, texts = sums[kept], counts[kept], int(kept.sum())
    if texts < 2:
        return float("nan")
    off = sums - counts * (sums.sum() / counts.sum())
    return float((off.square().sum() * (texts / (texts - 1))).sqrt() / counts.sum())
