"""Names of worlds and of what varies in them, apart from what makes them: asked for where nothing is computed."""

from typing import Final

WORLD_NAMES: Final = ("lending_fico", "lending_7", "admission", "performative", "attention")
FACTORS: Final = ("mitigation", "groups", "labels", "every", "feedback")
"""What may be otherwise in runs of one world and seed."""
NOTHING: Final = ("none", "greedy")
"""Mitigations that mitigate nothing."""
