"""Parameters of the order flow: queue-reactive book, Hawkes market orders, volatility regime. No simulation here."""

from __future__ import annotations

from dataclasses import dataclass, fields

from tracebank_models.checked_settings import in_range, require


@dataclass(frozen=True, slots=True)
class OrderFlow:
    """Parameters of the queue-reactive book, the Hawkes market orders and the volatility regime.

    Rates marked "per market order" are multiples of the mean rate of market orders on one side, so that
    `SyntheticMarket.market_order_rate` is the clock of the whole book. Sizes are in mean order sizes.
    """

    limit_rate: float = 2.4
    """Limit orders at the best price, per market order (`k` in `k / depth^a`)."""
    limit_exponent: float = 0.5
    """`a`: the limit rate `depth` ticks from the reference price is `k / depth^a` (depth 1 is the best)."""
    limit_saturation: float = 20.0
    """Queue size at which the limit rate has halved: `1 / (1 + queue / saturation)`."""
    cancel_rate: float = 0.22
    """`theta`: cancellations per resting order size at the best price, per market order."""
    cancel_exponent: float = 0.8
    """`b`: the cancellation rate is `theta * queue / depth^b`."""
    market_order_size: float = 0.8
    """Median market order, in mean order sizes (log-normal)."""
    market_order_size_sigma: float = 1.0
    """Standard deviation of the log of the size of a market order."""
    reference_move: float = 0.7
    """Probability that the reference price moves by a tick when a best queue empties."""
    imbalance_response: float = 1.5
    """How strongly exogenous market orders follow the imbalance of the best queues (0: not at all)."""
    venue_pull: float = 0.25
    """How strongly exogenous market orders pull a venue back to the efficient price, per tick of distance."""
    arbitrage_rate: float = 1.0
    """Times that arbitrage moves a venue's quotes a tick back, per tick of distance and market order."""
    hawkes_self: float = 0.75
    """Market orders of the same side that one market order sets off (branching ratio, own side)."""
    hawkes_cross: float = 0.02
    """Market orders of the other side that one market order sets off; own + cross stay below 1."""
    hawkes_decay: float = 5.0
    """`beta` of the exponential kernel, per second."""
    volatility_sigma: float = 0.45
    """Standard deviation of the log of the fast volatility factor."""
    volatility_seconds: float = 180.0
    """Relaxation time of the fast volatility factor, in seconds."""
    busy_ratio: float = 2.5
    """Volatility in the busy regime over volatility in the calm one."""
    calm_seconds: float = 3_600.0
    """Mean length of a calm regime, in seconds."""
    busy_seconds: float = 900.0
    """Mean length of a busy regime, in seconds."""
    drift_ratio: float = 0.02
    """Standard deviation of a regime's drift per second, over the volatility per square root of a second."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: A field is out of range; the line names it, its value and what is allowed.
        """
        limits = {"limit_exponent": (0, 3), "cancel_exponent": (0, 3), "reference_move": (0, 1), "hawkes_self": (0, 1)}
        limits |= {"hawkes_cross": (0, 1), "market_order_size_sigma": (0, 2), "volatility_sigma": (0, 1)}
        limits |= {"imbalance_response": (0, 10), "venue_pull": (0, 10), "drift_ratio": (0, 1)}
        for one in fields(self):
            low, high = limits.get(one.name, (1e-3, 1e5))
            in_range(self, low, high, one.name)
        require(self, "hawkes_self", "hawkes_self + hawkes_cross below 0.95", self.branching < 0.95)

    @property
    def branching(self) -> float:
        """Branching ratio of the Hawkes process (spectral radius of its kernel's integral)."""
        return self.hawkes_self + self.hawkes_cross
