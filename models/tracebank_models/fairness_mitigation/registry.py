"""All mitigations by name; each can be made with its defaults."""

from __future__ import annotations

from typing import Final

from .adversary import AdversarialClassifier
from .classifier import LogisticMitigation, Unmitigated
from .inside import ConstrainedClassifier, PenalisedClassifier
from .post import GroupThresholds, OddsThresholds, OpportunityThresholds, RejectOption
from .pre import CorrelationRemoval, Massaging, Reweighing
from .system import CreditFloor, DelayedImpact, Exploration

MITIGATIONS: Final[dict[str, type[LogisticMitigation]]] = {
    "none": Unmitigated,
    "reweighing": Reweighing,
    "massaging": Massaging,
    "correlation_removal": CorrelationRemoval,
    "constrained": ConstrainedClassifier,
    "penalised": PenalisedClassifier,
    "adversarial": AdversarialClassifier,
    "group_thresholds": GroupThresholds,
    "opportunity_thresholds": OpportunityThresholds,
    "odds_thresholds": OddsThresholds,
    "reject_option": RejectOption,
    "exploration": Exploration,
    "credit_floor": CreditFloor,
    "delayed_impact": DelayedImpact,
}
