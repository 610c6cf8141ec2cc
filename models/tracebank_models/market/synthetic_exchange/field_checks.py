"""Checks of names and decimals, beside those of `checked_settings`. One clear line per refusal; no defaults here."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from tracebank_models.checked_settings import require

NAME = re.compile(r"[A-Za-z0-9_]{1,32}")
"""Names of symbols and venues."""


def check_decimal(owner: object, name: str, highest: Decimal) -> None:
    """Refuse a field that is not a positive decimal in a string, with at most 8 decimals.

    Raises:
        ValueError: As `require`.
    """
    value = getattr(owner, name)
    try:
        number = Decimal(value) if isinstance(value, str) else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    ok = number.is_finite() and Decimal("1e-8") <= number <= highest and decimals_of(number) <= 8
    require(owner, name, f'a decimal in quotes from "0.00000001" to "{highest}" with at most 8 decimals', ok)


def decimals_of(number: Decimal) -> int:
    """Decimals that a number is written with."""
    exponent = number.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
