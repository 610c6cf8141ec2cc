"""Which features of a crosscoder belong to one model: relative decoder norms, and latent scaling to check them.

Both follow arXiv:2504.02922; the crosscoder itself is an architecture like the others (`architectures.crosscoder`).
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl
import torch
from torch import Tensor

from tracebank_models.sparse_autoencoder.architectures import Dictionary
from tracebank_models.sparse_autoencoder.precision import doubles


def site_decoders(dictionary: Dictionary) -> Tensor:
    """Return the decoder in the units of the raw activations, (sites, features, d_in).

    Raises:
        ValueError: It is no crosscoder of two sites.
    """
    config = dictionary.config
    if len(config.sites) != 2:
        raise ValueError(f"sites = {config.sites}: base and tuned are compared by a crosscoder of two sites")
    rows = (dictionary.decoder_rows() / dictionary.input_scale).detach()
    return rows.view(config.d_sae, 2, config.d_in).transpose(0, 1)


def relative_decoder_norms(dictionary: Dictionary) -> pl.DataFrame:
    """Return for each feature how much of its decoder lies in the tuned model, the second site.

    Returns:
        `feature`, `base_norm`, `tuned_norm`, `relative_norm_difference` = 0.5 * ((tuned - base) / max + 1), which is 0
        for base only, 0.5 for shared and 1 for tuned only; and `decoder_cosine` of the two directions.

    Raises:
        ValueError: It is no crosscoder of two sites.
    """
    base, tuned = site_decoders(dictionary).cpu().double()
    norms = base.norm(dim=1), tuned.norm(dim=1)
    largest = torch.maximum(*norms).clamp_min(1e-30)
    return pl.DataFrame(
        {
            "feature": range(len(base)),
            "base_norm": norms[0].numpy(),
            "tuned_norm": norms[1].numpy(),
            "relative_norm_difference": (0.5 * ((norms[1] - norms[0]) / largest + 1)).numpy(),
            "decoder_cosine": ((base * tuned).sum(1) / (norms[0] * norms[1]).clamp_min(1e-30)).numpy(),
        }
    )


class LatentScaling:
    """How strongly each feature's tuned direction is present in either model, by least squares in closed form.

    For a target y the factor is beta = argmin sum |beta f d - y|^2, where f is the feature's activation and d its
    decoder row of the tuned model. Targets are each model's reconstruction, and each model's error without the
    feature's own part. The ratios base / tuned, `nu_reconstruction` and `nu_error`, are near 0 for a feature that is
    truly the tuned model's own. A high `nu_error` tells of complete shrinkage, a high `nu_reconstruction` of latent
    decoupling.
    """

    def __init__(self, dictionary: Dictionary) -> None:
        self.dictionary = dictionary
        self.decoders = doubles(site_decoders(dictionary))
        shape = (2, dictionary.config.d_sae)
        self._products = {
            name: torch.zeros(shape, dtype=torch.float64, device=self.decoders.device)
            for name in ("reconstruction", "error")
        }
        self._squares = torch.zeros(shape[1], dtype=torch.float64, device=self.decoders.device)

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Add raw activations, (tokens, 2 * d_in): base and tuned side by side."""
        codes = self.dictionary.encode(x)
        output = doubles(self.dictionary.decode(codes))
        codes, x, d_in = doubles(codes), doubles(x), self.dictionary.config.d_in
        tuned, squares = self.decoders[1], codes.square().sum(0)
        self._squares += squares
        for site in range(2):
            part = slice(site * d_in, (site + 1) * d_in)
            own = squares * torch.linalg.vecdot(tuned, self.decoders[site])
            reconstruction, error = output[:, part], x[:, part] - output[:, part]
            self._products["reconstruction"][site] += torch.linalg.vecdot(tuned, codes.T @ reconstruction)
            self._products["error"][site] += torch.linalg.vecdot(tuned, codes.T @ error) + own

    def frame(self) -> pl.DataFrame:
        """Return `feature`, the four factors and the two ratios; null where a feature never fired."""
        norm = (self._squares * self.decoders[1].square().sum(1)).cpu()
        columns: dict[str, object] = {"feature": range(len(norm))}
        for name, products in self._products.items():
            base, tuned = products.cpu() / norm
            columns[f"beta_base_{name}"] = base.numpy()
            columns[f"beta_tuned_{name}"] = tuned.numpy()
            columns[f"nu_{name}"] = (base / tuned).numpy()
        return pl.DataFrame(columns).with_columns(pl.selectors.float().fill_nan(None))


def scale_latents(dictionary: Dictionary, batches: Iterable[Tensor]) -> pl.DataFrame:
    """Return `LatentScaling.frame` after all batches of raw activations, (tokens, 2 * d_in)."""
    scaling = LatentScaling(dictionary)
    for x in batches:
        scaling.update(x)
    return scaling.frame()
