"""Registering market files: held against their checksums, known by their hash, scanned once, written down."""

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tracebank.progress import track
from tracebank.stores.relational import RelationalStore
from tracebank_assets.market import catalogue
from tracebank_assets.market.survey import RegistrationError, reason, survey
from tracebank_models.market.chunks import Source
from tracebank_models.market.pipeline import scan
from tracebank_models.market.unpacking import size_of

_SHA256 = re.compile("[0-9a-fA-F]{64}")
_CHECKSUM_CHARACTERS = 4096
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Registered:
    """What one call registered."""

    hashes: dict[Path, str] = field(default_factory=dict)
    """Content hash of every file asked for, new or known."""
    new: int = 0
    lines: int = 0
    rejected: int = 0
    bytes: int = 0
    skipped: dict[Path, str] = field(default_factory=dict)
    """Files found in folders that are of no market, and why not."""
    failed: dict[Path, str] = field(default_factory=dict)
    """Files that could not be registered, and why; the others are."""


def register_paths(
    relational: RelationalStore,
    paths: Iterable[Path],
    *,
    venue: str | None = None,
    symbol: str | None = None,
    mapping: str | None = None,
    max_rejected_share: float = 0.01,
) -> Registered:
    """Register files, and files in folders and archives; those that are known by their content are not read again.

    Args:
        relational: the catalogue.
        paths: files or folders.
        venue: venue of files whose content and path do not tell it.
        symbol: symbol of files whose content and path do not tell it.
        mapping: name or path of the mapping by which all of them are read; None for as they are known.
        max_rejected_share: share of unreadable lines above which a file is refused whole.

    Returns:
        What was registered, and which files were not and why.

    Raises:
        RegistrationError: a path is not there.
    """
    if not 0 <= max_rejected_share <= 1:
        raise RegistrationError(f"max_rejected_share: {max_rejected_share} is not accepted; use a share from 0 to 1")
    found = survey(paths, venue=venue, symbol=symbol, mapping=mapping)
    done = Registered(skipped=found.skipped, failed=found.failed)
    sizes = {path: size_of(path) for path in found.sources}
    with track("registering files", sum(sizes.values())) as advance:
        for path, source in found.sources.items():
            try:
                _register_one(relational, source, max_rejected_share, done, anew=mapping is not None)
            except (ValueError, OSError) as error:
                done.failed[path] = reason(error, path)
            advance(sizes[path])
    return done


def _register_one(
    relational: RelationalStore, source: Source, max_rejected_share: float, done: Registered, *, anew: bool
) -> None:
    """Register a file; one that is known `anew`, if it is read by another mapping now."""
    path = source.path
    sha256 = catalogue.sha256_of(path)
    _hold_against_checksum(path, sha256)
    if not catalogue.registered(relational, sha256, path, source.mapping if anew else None):
        result = scan(source, max_rejected_share=max_rejected_share)
        catalogue.register(relational, sha256, result)
        for line in result.contradictions:
            _LOG.warning(line)
        done.new += 1
        done.lines += result.lines
        done.rejected += len(result.rejected)
        done.bytes += size_of(path)
    done.hashes[path] = sha256


def _hold_against_checksum(path: Path, sha256: str) -> None:
    """Refuse a file that is not the one whose checksum lies beside it.

    Raises:
        ValueError: it is another, or the checksum is none.
    """
    for beside in (path.with_name(path.name + suffix) for suffix in (".CHECKSUM", ".sha256")):
        if not beside.is_file():
            continue
        with beside.open(encoding="utf-8", errors="replace") as file:
            said = file.read(_CHECKSUM_CHARACTERS).split(maxsplit=1)
        if not said or not _SHA256.fullmatch(said[0]):
            raise ValueError(f"{beside.name} beside it does not begin with a SHA-256 of 64 hexadecimal digits")
        if said[0].lower() != sha256:
            raise ValueError(
                f"its SHA-256 is {sha256[:12]}…, {beside.name} beside it says {said[0][:12].lower()}…: "
                "the file is damaged or another; get it again"
            )
