"""Every asset of group `sparse_features`, in the order in which they build on each other."""

from tracebank_assets.sparse_features.ablations import ablations
from tracebank_assets.sparse_features.capture import activations
from tracebank_assets.sparse_features.dictionaries import dictionaries
from tracebank_assets.sparse_features.dynamics import dynamics
from tracebank_assets.sparse_features.explanations import explanations
from tracebank_assets.sparse_features.features import features
from tracebank_assets.sparse_features.probes import probes

ASSETS = [activations, dictionaries, features, explanations, probes, ablations, dynamics]
"""Every asset of the group."""
