"""Lines out of files: packing told by content, line ends, bounds, and clear errors for damaged files."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tracebank_models.market import codecs
from tracebank_models.market.codecs import UnreadableFileError, iter_byte_blocks, iter_line_blocks, read_head
from tracebank_models.market.formats import FORMATS, UnknownFormatError, reader, sniff_format, source_of


def zipped(data: bytes) -> bytes:
    """Return a zip archive of one member."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.csv", data)
    return buffer.getvalue()


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zip": zipped,
    "zstd": zstandard.compress,
}


def lines_of(path: Path, lines: int = 65536) -> list[bytes]:
    return [line for block in iter_line_blocks(path, lines) for line in block]


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("name", ["a.gz", "a.zip", "a.zst", "a.csv"])
def test_the_content_decides_how_a_file_is_unpacked(tmp_path: Path, packing: str, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(PACKINGS[packing](b"one\r\n\r\ntwo\nthree"))
    assert lines_of(path) == [b"one", b"", b"two", b"three"]


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(st.binary(max_size=30).filter(lambda line: not {10, 13} & set(line)), max_size=40),
    end=st.sampled_from([b"\n", b"\r\n"]),
    closed=st.booleans(),
    block=st.integers(1, 45),
    size=st.integers(1, 200),
    packing=st.sampled_from(sorted(PACKINGS)),
)
def test_every_line_comes_whatever_the_block_size(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[bytes],
    end: bytes,
    closed: bool,
    block: int,
    size: int,
    packing: str,
) -> None:
    path = tmp_path_factory.mktemp("lines") / "file"
    lines = [b"first", *lines, b"last"]
    path.write_bytes(PACKINGS[packing](end.join(lines) + (end if closed else b"")))
    blocks = list(iter_line_blocks(path, block))
    assert [line for found in blocks for line in found] == lines
    assert all(0 < len(found) <= block for found in blocks)
    pieces = list(iter_byte_blocks(path, size))
    assert b"".join(pieces).removesuffix(b"\n") == b"\n".join(lines)
    assert all(piece.endswith(b"\n") for piece in pieces[:-1])


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    for name, pack in PACKINGS.items():
        (tmp_path / name).write_bytes(pack(b""))
        assert list(iter_line_blocks(tmp_path / name)) == []


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbfid,price\n1,2\n")
    assert lines_of(tmp_path / "file") == [b"id,price", b"1,2"]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_parts_packed_one_after_the_other_are_one_file(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / "file").write_bytes(pack(b"a\nb") + pack(b"c\n"))
    assert lines_of(tmp_path / "file") == [b"a", b"bc"]


def test_members_of_an_archive_come_by_name_on_lines_of_their_own(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "file", "w") as archive:
        archive.writestr("2.csv", "c\n")
        archive.writestr("folder/", "")
        archive.writestr("1.csv", "a\nb")
    assert lines_of(tmp_path / "file") == [b"a", b"b", b"c"]


@pytest.mark.parametrize("packing", ["gzip", "zstd", "zip"])
def test_a_file_cut_short_is_one_clear_error(tmp_path: Path, packing: str) -> None:
    path = tmp_path / "file"
    data = PACKINGS[packing](b"".join(b"%d\n" % number**3 for number in range(50_000)))
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UnreadableFileError, match=f"{path}: the compressed data is (cut short|corrupt)"):
        lines_of(path)


@pytest.mark.parametrize("packing", ["gzip", "zstd", "zip"])
def test_a_corrupt_file_is_one_clear_error(tmp_path: Path, packing: str) -> None:
    path = tmp_path / "file"
    data = bytearray(PACKINGS[packing](b"".join(b"%d\n" % number**3 for number in range(50_000))))
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(byte ^ 0x5A for byte in data[middle : middle + 400])
    path.write_bytes(data)
    with pytest.raises(UnreadableFileError, match=f"{path}: the compressed data is (cut short|corrupt)"):
        lines_of(path)


def test_a_line_without_end_is_cut_and_the_next_line_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "MAX_LINE_BYTES", 3000)
    monkeypatch.setattr(codecs, "_READ_BYTES", 500)
    (tmp_path / "file").write_bytes(b"a\n" + b"x" * 50_000 + b"\nb\n" + b"y" * 9000)
    first, long, after, last = lines_of(tmp_path / "file")
    assert (first, after) == (b"a", b"b")
    assert set(long) == {ord("x")}
    assert set(last) == {ord("y")}
    assert 3000 <= len(long) <= 4000
    assert 3000 <= len(last) <= 4000


def test_a_block_is_bounded_in_bytes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "MAX_BLOCK_BYTES", 10_000)
    monkeypatch.setattr(codecs, "_READ_BYTES", 1000)
    lines = [b"%099d" % number for number in range(1000)]
    (tmp_path / "file").write_bytes(b"\n".join(lines))
    blocks = list(iter_line_blocks(tmp_path / "file"))
    assert max(map(len, blocks)) <= 120
    assert [line for block in blocks for line in block] == lines


def test_block_sizes_are_at_least_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lines: 0 is not allowed"):
        next(iter_line_blocks(tmp_path, 0))
    with pytest.raises(ValueError, match="size: 0 is not allowed"):
        next(iter_byte_blocks(tmp_path, 0))


def test_the_head_is_the_first_lines(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(gzip.compress(b"a\nb\nc\n"))
    assert read_head(tmp_path / "file", 2) == [b"a", b"b"]


RECORDED = b'1723161254087896568 {"stream":"btcusdt@trade","data":{"e":"trade"}}\n'


def test_a_recording_is_known_by_its_lines_and_described_by_its_folders(tmp_path: Path) -> None:
    folder = tmp_path / "venue=binance_us" / "symbol=BTCUSDT" / "day=2024-08-08"
    folder.mkdir(parents=True)
    (folder / "ticks.csv").write_bytes(gzip.compress(RECORDED))
    source = source_of(folder / "ticks.csv")
    assert (source.format, source.venue, source.symbol, str(source.day)) == (
        "recorder",
        "binance_us",
        "BTCUSDT",
        "2024-08-08",
    )


def test_a_folder_that_is_no_day_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "day=yesterday"
    folder.mkdir()
    (folder / "file").write_bytes(RECORDED)
    with pytest.raises(ValueError, match="day=yesterday is not allowed: day=YYYY-MM-DD"):
        source_of(folder / "file")


@pytest.mark.parametrize(("content", "says"), [(b"", "the file is empty"), (b"%PDF-1.4\n", "'%PDF-1.4' is of no")])
def test_a_file_of_no_known_format_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UnknownFormatError, match=says):
        sniff_format(tmp_path / "file")


def test_every_format_has_a_reader_and_no_other_name_has() -> None:
    for name in FORMATS:
        assert callable(reader(name).read)
        assert callable(reader(name).matches)
    with pytest.raises(UnknownFormatError, match="'pipeline' is not known"):
        reader("pipeline")
