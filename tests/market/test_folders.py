"""Folders and archives of files: which are read, which are skipped or refused, and how the user is told."""

from __future__ import annotations

import gzip
import hashlib
import json
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tracebank.cli.app import app
from tracebank.settings import Settings
from tracebank.stores.opening import open_series
from tracebank_assets.commands.ingest import print_account
from tracebank_assets.market.ingestion import Ingested, ingest, ingest_paths
from tracebank_assets.market.survey import RegistrationError, listed, survey
from tracebank_schemas.market import BOOK, TRADES

TRADE_LINES = b"1001,0.316,27,8.532,1735689600000123,True,True\n1002,0.31601,17,5.37217,1735689601000456,False,True\n"
MESSAGES = "34200.1,1,11,18,5853300,1\n34200.2,4,11,18,5853300,1\n"
BOOKS = "5859400,200,5853300,18\n5859400,200,5853000,150\n"


def vision(folder: Path, symbol: str = "DOGEUSDT", lines: bytes = TRADE_LINES) -> Path:
    """Write an archive as data.binance.vision has it, with its checksum beside it."""
    path = folder / "spot" / "daily" / "trades" / symbol / f"{symbol}-trades-2025-01-01.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{path.stem}.csv", lines)
    said = f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
    path.with_name(path.name + ".CHECKSUM").write_text(said)
    return path


def lobster_zip(path: Path, symbols: tuple[str, ...] = ("ABC",)) -> Path:
    """Write sample pairs and a readme into one archive, as lobsterdata.com offers them."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for size, symbol in enumerate(symbols, 18):
            name = f"{symbol}_2024-01-02_34200000_57600000_{{}}_1.csv"
            archive.writestr(name.format("message"), MESSAGES.replace(",18,", f",{size},"))
            archive.writestr(name.format("orderbook"), BOOKS)
        archive.writestr("ReadMe.txt", "Output structure\n")
    return path


def names(files: dict[Path, str]) -> dict[str, str]:
    return {path.name: why for path, why in files.items()}


def test_every_file_of_a_folder_is_read_or_named_with_the_reason(tmp_path: Path) -> None:
    archive = vision(tmp_path)
    (tmp_path / "README.md").write_text("About these files\n")
    (tmp_path / "empty.csv").touch()
    (tmp_path / ".DS_Store").write_bytes(b"\0\1")
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere")
    (tmp_path / "paper.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(600))
    (tmp_path / "alone.zip.CHECKSUM").write_text("0" * 64)
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(TRADE_LINES)[:-20])
    with zipfile.ZipFile(tmp_path / "pages.zip", "w") as pages:
        pages.writestr("1.txt", "one\n")
        pages.writestr("2.txt", "two\n")
    found = survey([tmp_path])
    assert list(found.sources) == [archive]
    assert names(found.skipped) == {
        "README.md": "first line 'About these files' is of no known format",
        "empty.csv": "the file is empty, so its format cannot be told",
        ".DS_Store": "a hidden file",
        "gone.csv": "not a regular file",
        "paper.7z": "packed by 7z, which is not read: unpack it first (gzip, zip and zstd are)",
        "alone.zip.CHECKSUM": "a checksum without its file",
        f"{archive.name}.CHECKSUM": "a checksum, held against its file",
        "pages.zip": "none of its 2 members is a market file: '1.txt': first line 'one' is of no known format",
    }
    assert names(found.failed) == {"cut.csv.gz": "the compressed data is cut short"}
    everything = {file for file in tmp_path.rglob("*") if not file.is_dir()}
    assert {*found.sources, *found.skipped, *found.failed} == everything


def test_a_file_that_is_named_has_failed_where_its_format_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes\n")
    (tmp_path / "x.zip.CHECKSUM").write_text("0" * 64)
    found = survey([tmp_path / "notes.txt", tmp_path / "x.zip.CHECKSUM"])
    assert names(found.failed)["notes.txt"].startswith("first line 'notes' is of no known format: one of dbn,")
    assert names(found.skipped) == {"x.zip.CHECKSUM": "a checksum without its file"}


def test_many_files_of_one_reason_are_named_together(tmp_path: Path) -> None:
    files = {tmp_path / f"{number}.txt": f"first line 'n{number}' is of no known format" for number in range(20)}
    lines = listed({**files, tmp_path / "a.csv": "empty"}, [tmp_path])
    assert lines == [
        f"20 files, e.g. {tmp_path}/0.txt, {tmp_path}/1.txt, {tmp_path}/2.txt: first line 'n0' is of no known format",
        f"{tmp_path}/a.csv: empty",
    ]


def test_an_archive_of_pairs_is_read_pair_by_pair(tmp_path: Path, home: Settings) -> None:
    done = ingest(home, [lobster_zip(tmp_path / "LOBSTER_SampleFile.zip", ("ABC", "XYZ"))])
    assert [(file.path.name[:3], file.lines, file.stored) for file in done.files] == [("ABC", 2, 2), ("XYZ", 2, 2)]
    assert names(done.skipped) == {"ReadMe.txt": "first line 'Output structure' is of no known format"}
    store = open_series(home)
    assert store.read(TRADES)["symbol"].to_list() == ["ABC", "XYZ"]
    assert store.read(BOOK).height == 4


def test_one_file_of_a_pair_stands_for_both_and_a_lone_one_is_told(tmp_path: Path) -> None:
    pair = tmp_path / "pair"
    pair.mkdir()
    message = pair / "ABC_2024-01-02_34200000_57600000_message_1.csv"
    book = pair / "ABC_2024-01-02_34200000_57600000_orderbook_1.csv"
    message.write_text(MESSAGES)
    book.write_text(BOOKS)
    assert list(survey([book]).sources) == list(survey([pair / "."]).sources) == [message]
    message.unlink()
    assert "the message file of the pair is missing" in names(survey([pair]).failed)[book.name]


def test_a_file_that_is_not_the_one_of_its_checksum_is_refused(tmp_path: Path, home: Settings) -> None:
    good, bad, odd = vision(tmp_path), vision(tmp_path, "ETHUSDT"), vision(tmp_path, "SOLUSDT")
    bad.with_name(bad.name + ".CHECKSUM").write_text(f"{'0' * 64}  {bad.name}\n")
    odd.with_name(odd.name + ".CHECKSUM").write_text("<html>not found</html>\n")
    done = ingest(home, [tmp_path])
    assert [file.path for file in done.files] == [good]
    assert names(done.failed) == {
        bad.name: f"its SHA-256 is {hashlib.sha256(bad.read_bytes()).hexdigest()[:12]}…, {bad.name}.CHECKSUM beside it"
        " says 000000000000…: the file is damaged or another; get it again",
        odd.name: f"{odd.name}.CHECKSUM beside it does not begin with a SHA-256 of 64 hexadecimal digits",
    }
    assert open_series(home).read(TRADES)["symbol"].unique().to_list() == ["DOGEUSDT"]


def test_a_folder_of_which_nothing_is_read_is_an_error(tmp_path: Path, home: Settings) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with pytest.raises(RegistrationError, match=f"nothing was read: there is no file in {folder}"):
        ingest_paths(home, [folder])
    (folder / "README.md").write_text("About\n")
    with pytest.raises(RegistrationError, match=r"nothing was read of 1 file: .*README\.md: first line 'About'"):
        ingest_paths(home, [folder])
    assert CliRunner().invoke(app, ["ingest", str(folder)]).exit_code == 2


def test_the_command_tells_what_became_of_every_file(tmp_path: Path, home: Settings) -> None:
    folder = tmp_path / "in"
    good = vision(folder)
    (folder / "README.md").write_text("About\n")
    (folder / "cut.csv.gz").write_bytes(gzip.compress(TRADE_LINES)[:-20])
    run = CliRunner().invoke(app, ["ingest", "--json", str(folder)])
    assert run.exit_code == 1, "one of them is cut short"
    told = json.loads(run.stdout)
    assert [(file["path"], file["stored"]) for file in told["files"]] == [(str(good), 2)]
    assert {Path(file["path"]).name for file in told["skipped"]} == {"README.md", f"{good.name}.CHECKSUM"}
    assert told["failed"] == [{"path": str(folder / "cut.csv.gz"), "reason": "the compressed data is cut short"}]
    assert "nothing was loaded of 1 file" in run.stderr


def test_skipped_and_failed_files_are_listed_below_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_account(Ingested([], {Path("a/README"): "a"}, {Path("b"): "b", Path("c"): "c"}), [Path()])
    assert capsys.readouterr().err.splitlines() == [
        "skipped 1 file:",
        "  a/README: a",
        "failed 2 files:",
        "  b: b",
        "  c: c",
    ]
