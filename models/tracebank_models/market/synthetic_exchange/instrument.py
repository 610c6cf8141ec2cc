"""What is traded: a symbol, the grids of its prices and quantities, and where its price starts. No dynamics here."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from tracebank_models.checked_settings import in_range, require

from .field_checks import NAME, check_decimal, decimals_of


@dataclass(frozen=True, slots=True)
class Instrument:
    """One symbol: its name, the grids of its prices and quantities, and where its price starts."""

    symbol: str
    tick_size: str = "1.0"
    """Price grid in quote currency, a decimal in quotes; its decimals are the decimals written."""
    lot_size: str = "0.001"
    """Quantity grid in base currency, a decimal in quotes."""
    base_price: str = "60000.0"
    """Price at the start of the day, in quote currency; at least 1,000 ticks."""
    mean_order_lots: int = 100
    """Mean size of a limit order, in lots (2 to 100,000)."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: A field is out of range; the line names it, its value and what is allowed.
        """
        ok = isinstance(self.symbol, str) and bool(NAME.fullmatch(self.symbol))
        require(self, "symbol", "1 to 32 letters, digits or _", ok)
        check_decimal(self, "tick_size", Decimal(1_000_000))
        check_decimal(self, "lot_size", Decimal(1_000_000))
        check_decimal(self, "base_price", Decimal(1_000_000_000))
        in_range(self, 2, 100_000, "mean_order_lots")
        require(self, "base_price", "1,000 to 1,000,000,000 ticks", 1_000 <= self.base_ticks <= 1_000_000_000)

    @property
    def price_decimals(self) -> int:
        """Decimals that prices are written with."""
        return decimals_of(Decimal(self.tick_size))

    @property
    def qty_decimals(self) -> int:
        """Decimals that quantities are written with."""
        return decimals_of(Decimal(self.lot_size))

    @property
    def tick_units(self) -> int:
        """One tick in units of the last written decimal."""
        return int(Decimal(self.tick_size).scaleb(self.price_decimals))

    @property
    def lot_units(self) -> int:
        """One lot in units of the last written decimal."""
        return int(Decimal(self.lot_size).scaleb(self.qty_decimals))

    @property
    def base_ticks(self) -> int:
        """Starting price in ticks, rounded down to the grid."""
        return int(Decimal(self.base_price) / Decimal(self.tick_size))
