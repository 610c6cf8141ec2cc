"""Names of the worlds, apart from what makes them: they are asked for where nothing is computed."""

from typing import Final

WORLD_NAMES: Final = ("lending_fico", "lending_7", "admission", "performative", "attention")
