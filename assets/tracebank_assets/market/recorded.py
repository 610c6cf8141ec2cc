"""What a recording of live streams came to: its files, its silent streams, and the connections that it lost."""

from dataclasses import dataclass
from datetime import datetime

from tracebank_models.market.recording_files import FinishedFile


@dataclass(slots=True)
class Loss:
    """A connection that ended without being asked to."""

    at: datetime
    streams: int
    lived_s: float
    reason: str
    gone_s: float | None = None
    """Until it was back; None if it never was."""

    def __str__(self) -> str:
        """One line."""
        back = "not back" if self.gone_s is None else f"back after {self.gone_s:.1f} s"
        what = f"connection of {self.streams} stream{'s' * (self.streams != 1)}"
        return f"{self.at:%Y-%m-%d %H:%M:%S}Z {what} lost after {self.lived_s:,.0f} s ({self.reason}), {back}"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one recording left."""

    files: list[FinishedFile]
    recovered: list[FinishedFile]
    """Files of an earlier recording that was killed, finished by this one."""
    seconds: float
    losses: list[Loss]
    silent: list[str]
    """Streams of which nothing came."""

    @property
    def lines(self) -> int:
        """Lines of all files, those recovered not counted."""
        return sum(file.lines for file in self.files)
