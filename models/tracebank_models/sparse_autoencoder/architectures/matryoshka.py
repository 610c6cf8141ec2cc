"""`matryoshka`: nested BatchTopK dictionaries of several sizes, each of which has to reconstruct (arXiv:2503.17547)."""

from __future__ import annotations

from dataclasses import dataclass

from tracebank_models.sparse_autoencoder.architectures.batchtopk import BatchTopKConfig, BatchTopKDictionary
from tracebank_models.sparse_autoencoder.dictionary import Architecture


@dataclass(frozen=True, kw_only=True)
class MatryoshkaConfig(BatchTopKConfig):
    """The nested sizes."""

    prefixes: tuple[int, ...] = ()
    """Ascending sizes of the nested dictionaries, the last `d_sae`; none means a quarter, a half and all."""

    def check_own(self) -> None:
        """Check that the sizes ascend to `d_sae`."""
        super().check_own()
        sizes = self.nested_sizes()
        ascending = all(a < b for a, b in zip((0, *sizes), sizes, strict=False))
        if not ascending or sizes[-1] != self.d_sae:
            raise ValueError(f"prefixes = {self.prefixes}: must ascend from above 0 to d_sae ({self.d_sae})")

    def nested_sizes(self) -> tuple[int, ...]:
        """Return the sizes in use."""
        halves = sorted({self.d_sae // 4, self.d_sae // 2, self.d_sae} - {0})
        return self.prefixes or tuple(halves)


class MatryoshkaDictionary(BatchTopKDictionary):
    """Errors are averaged over the nested dictionaries."""


ARCHITECTURE = Architecture(MatryoshkaConfig, MatryoshkaDictionary)
