"""What lies at the paths that a user names: the files to read, and why each of the others is not read.

Only the start of a file is looked at, and nothing is written.
"""

import dataclasses
import re
from collections.abc import Iterable, Sized
from dataclasses import dataclass, field
from pathlib import Path

from tracebank_models.market.chunks import Source
from tracebank_models.market.codecs import LongLineError
from tracebank_models.market.formats import UnknownFormatError, source_of
from tracebank_models.market.lobster import companion, is_orderbook
from tracebank_models.market.mapping import MappingError, text_of
from tracebank_models.market.unpacking import UnknownPackingError, members

CHECKSUM_SUFFIXES = (".checksum", ".sha256")
"""Files beside a file `X`, named `X.CHECKSUM` as by Binance Vision, whose first word is the SHA-256 of `X`."""

_SHOWN = 10


class RegistrationError(ValueError):
    """Nothing can be read at the paths that were named, and why."""


@dataclass(slots=True)
class Survey:
    """What becomes of every file at some paths."""

    mapping: str | None = None
    """Text of the mapping by which files are read."""
    sources: dict[Path, Source] = field(default_factory=dict)
    """Files to read."""
    skipped: dict[Path, str] = field(default_factory=dict)
    """Files in folders and archives that are none of a market, and why not."""
    failed: dict[Path, str] = field(default_factory=dict)
    """Files that should be read and cannot be, and why."""


def survey(
    paths: Iterable[Path], *, venue: str | None = None, symbol: str | None = None, mapping: str | None = None
) -> Survey:
    """Look at files, and at all files in folders and in zip archives of several.

    Args:
        paths: files or folders. A file that is named here has failed where it is of no known format; one that is found
            in a folder or an archive is skipped.
        venue: of all files, instead of what content and path say.
        symbol: of all files, likewise.
        mapping: name or path of the mapping by which all files are read.

    Raises:
        RegistrationError: a path does not exist, or the mapping is none.
    """
    try:
        found = Survey(None if mapping is None else text_of(mapping))
    except MappingError as error:
        raise RegistrationError(str(error)) from error
    for path in paths:
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                if not file.is_dir():
                    hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
                    _look_at(found, file.absolute(), found.skipped, hidden=hidden)
        elif path.exists():
            _look_at(found, path.absolute(), found.failed)
        else:
            raise RegistrationError(f"path {path}: there is no such file or folder")
    for path, source in found.sources.items():
        found.sources[path] = dataclasses.replace(source, venue=venue or source.venue, symbol=symbol or source.symbol)
    return found


def _look_at(found: Survey, file: Path, strangers: dict[Path, str], *, hidden: bool = False) -> None:
    """Look at a file on disk; `strangers` takes it if it is of no market."""
    if hidden:
        found.skipped[file] = "a hidden file"
    elif not file.is_file():
        strangers[file] = "not a regular file"
    elif file.suffix.lower() in CHECKSUM_SUFFIXES:
        beside = file.with_suffix("")
        found.skipped[file] = f"a checksum{', held against its file' if beside.exists() else ' without its file'}"
    else:
        try:
            inside = members(file)
        except (ValueError, OSError) as error:
            found.failed[file] = reason(error, file)
            return
        if len(inside) > 1:
            _look_into(found, file, inside, strangers)
        else:
            _tell(found, file, strangers)


def _look_into(found: Survey, archive: Path, inside: list[Path], strangers: dict[Path, str]) -> None:
    """Look at the members of an archive; one without a market's counts as one file."""
    of_archive = Survey(found.mapping)
    for member in inside:
        _tell(of_archive, member, of_archive.skipped)
    if not of_archive.sources and not of_archive.failed:
        member, why = next(iter(of_archive.skipped.items()))
        strangers[archive] = f"none of its {len(inside)} members is a market file: {member.name!r}: {why}"
        return
    found.sources |= of_archive.sources
    found.skipped |= of_archive.skipped
    found.failed |= of_archive.failed


def _tell(found: Survey, file: Path, strangers: dict[Path, str]) -> None:
    """Tell the format of a file, or of a member of an archive."""
    try:
        # An order-book file is read with its message file, which is found by its own name or by this one.
        path = companion(file) if is_orderbook(file) and found.mapping is None else file
        found.sources[path] = source_of(path, found.mapping)
    except (UnknownFormatError, UnknownPackingError, LongLineError, MappingError) as error:
        why = reason(error, file)
        strangers[file] = why.partition(": one of ")[0] if strangers is found.skipped else why
    except (ValueError, OSError) as error:
        found.failed[file] = reason(error, file)


def reason(error: Exception, file: Path) -> str:
    """What an error says, without the file's name."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.removeprefix(f"{file}: ")


def files_of(files: Sized) -> str:
    """How many files, in words."""
    return f"{len(files)} file{'s' * (len(files) != 1)}"


def listed(files: dict[Path, str], paths: Iterable[Path] = ()) -> list[str]:
    """Lines that name files and reasons: each of a few; of many, those of one reason together, with the first names.

    Args:
        files: with reasons.
        paths: as the user named them; files under one are named as it is.
    """
    roots = {path.absolute(): path for path in paths}
    named = {_as_named(file, roots): why for file, why in files.items()}
    if len(named) <= _SHOWN:
        return [f"{name}: {why}" for name, why in named.items()]
    groups: dict[str, list[tuple[Path, str]]] = {}
    for name, why in named.items():
        groups.setdefault(re.sub(r"'.*'|\".*\"|\d+", "…", why), []).append((name, why))
    return [_group(group) for group in groups.values()]


def _as_named(file: Path, roots: dict[Path, Path]) -> Path:
    root = next((root for root in roots if file.is_relative_to(root)), None)
    return file if root is None else roots[root] / file.relative_to(root)


def _group(group: list[tuple[Path, str]]) -> str:
    (first, why), *more = group
    names = ", ".join(str(name) for name, _ in group[:3])
    return f"{first}: {why}" if not more else f"{len(group)} files, e.g. {names}: {why}"
