"""Registering market files: found in folders, known by their hash, scanned once, written to the catalogue."""

import dataclasses
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tracebank.progress import track
from tracebank.stores.relational import RelationalStore
from tracebank_assets.market import catalogue
from tracebank_models.market.chunks import Source
from tracebank_models.market.codecs import UnreadableFileError
from tracebank_models.market.formats import UnknownFormatError, source_of
from tracebank_models.market.lobster import is_orderbook
from tracebank_models.market.pipeline import TooManyBadLines, scan

_LOG = logging.getLogger(__name__)


class RegistrationError(ValueError):
    """Files that could not be registered, and why; the other files of the call are registered."""


@dataclass(slots=True)
class Registered:
    """What one call registered."""

    hashes: dict[Path, str] = field(default_factory=dict)
    """Content hash of every file asked for, new or known."""
    new: int = 0
    lines: int = 0
    rejected: int = 0
    bytes: int = 0
    skipped: list[str] = field(default_factory=list)
    """Files found in folders that are of no market format."""


def files_under(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Files that were named, and files that were found in named folders, in a stable order.

    Raises:
        RegistrationError: a path does not exist.
    """
    named, found = [], []
    for path in paths:
        if path.is_dir():
            inside = (file for file in sorted(path.rglob("*")) if file.is_file() and not file.name.startswith("."))
            found += [file.absolute() for file in inside if not is_orderbook(file)]
        elif path.is_file():
            named.append(path.absolute())
        else:
            raise RegistrationError(f"path {path}: there is no such file or folder")
    return named, found


def register_paths(
    relational: RelationalStore,
    paths: Iterable[Path],
    *,
    venue: str | None = None,
    symbol: str | None = None,
    max_rejected_share: float = 0.01,
) -> Registered:
    """Register files, and files in folders; those that are known by their content are not read again.

    Args:
        relational: the catalogue.
        paths: files or folders.
        venue: venue of files whose content and path do not tell it.
        symbol: symbol of files whose content and path do not tell it.
        max_rejected_share: share of unreadable lines above which a file is refused whole.

    Raises:
        RegistrationError: a path is not there, or files cannot be read; the message names each.
    """
    if not 0 <= max_rejected_share <= 1:
        raise RegistrationError(f"max_rejected_share: {max_rejected_share} is not accepted; use a share from 0 to 1")
    named, found = files_under(paths)
    done = Registered()
    failed: list[str] = []
    with track("registering files", sum(path.stat().st_size for path in [*named, *found])) as advance:
        for path in [*named, *found]:
            try:
                _register_one(relational, path, venue, symbol, max_rejected_share, done)
            except UnknownFormatError as error:
                (failed if path in named else done.skipped).append(str(error))
            except (UnreadableFileError, TooManyBadLines, ValueError, OSError) as error:
                failed.append(str(error))
            advance(path.stat().st_size)
    if failed:
        raise RegistrationError("; ".join(failed))
    return done


def _register_one(
    relational: RelationalStore,
    path: Path,
    venue: str | None,
    symbol: str | None,
    max_rejected_share: float,
    done: Registered,
) -> None:
    sha256 = catalogue.sha256_of(path)
    if not catalogue.registered(relational, sha256, path):
        result = scan(_source(path, venue, symbol), max_rejected_share=max_rejected_share)
        catalogue.register(relational, sha256, result)
        for line in result.contradictions:
            _LOG.warning(line)
        done.new += 1
        done.lines += result.lines
        done.rejected += len(result.rejected)
        done.bytes += path.stat().st_size
    done.hashes[path] = sha256


def _source(path: Path, venue: str | None, symbol: str | None) -> Source:
    source = source_of(path)
    return dataclasses.replace(source, venue=venue or source.venue, symbol=symbol or source.symbol)
