"""A synthetic exchange: a queue-reactive book with Hawkes market orders, written as recorder files or as frames."""

from .configuration import STREAMS, FeedDefects, SyntheticMarket
from .frames import SimulatedDay, simulate, simulate_chunks
from .instrument import Instrument
from .order_flow import OrderFlow
from .recorder_files import FileManifest, Manifest, day_path, write_day
from .signal_ceiling import reachable

__all__ = [
    "STREAMS",
    "FeedDefects",
    "FileManifest",
    "Instrument",
    "Manifest",
    "OrderFlow",
    "SimulatedDay",
    "SyntheticMarket",
    "day_path",
    "reachable",
    "simulate",
    "simulate_chunks",
    "write_day",
]
