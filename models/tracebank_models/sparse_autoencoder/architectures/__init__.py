"""The architectures, one file each; whatever file stands here is one, found by its name.

A file declares `ARCHITECTURE`: the class of its configuration (own fields, their defaults and checks) and the class
that computes, which also knows what SAELens calls it. What several of them share is in `dictionary` and `k_sparse`.
"""

from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig, architecture_of
from tracebank_models.sparse_autoencoder.dictionary import Dictionary, StepLoss

__all__ = ["Dictionary", "StepLoss", "build"]


def build(config: DictionaryConfig) -> Dictionary:
    """Return a fresh dictionary, the same for the same configuration."""
    return architecture_of(config.architecture).dictionary(config)
