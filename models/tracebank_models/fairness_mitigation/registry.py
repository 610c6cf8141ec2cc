"""All mitigations by name; each can be made with its defaults."""

from __future__ import annotations

from typing import Final

from .classifier import LogisticMitigation, Unmitigated

MITIGATIONS: Final[dict[str, type[LogisticMitigation]]] = {
    "none": Unmitigated,
}
