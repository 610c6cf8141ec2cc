"""The one error of this room: bad input said in one line that names the field, the value and what is allowed."""

from __future__ import annotations


class ActivationError(ValueError):
    """Activations cannot be captured, stored or read as asked."""
