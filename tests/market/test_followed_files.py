"""Recordings read while they are written: every flushed line once, over ends of files and of recorders."""

from __future__ import annotations

from pathlib import Path

from tracebank_models.market.followed_files import FollowedFiles
from tracebank_models.market.recording_files import SymbolFiles, recover

NOW = 1_723_161_600 * 10**9
SECOND = 10**9


def add(files: SymbolFiles, *numbers: int) -> None:
    for number in numbers:
        files.add(NOW + number * SECOND, b"%d" % number)


def numbers(lines: list[bytes]) -> list[int]:
    return [int(line.partition(b" ")[2]) for line in lines]


def test_lines_come_once_they_are_flushed_and_once_only(tmp_path: Path) -> None:
    files, followed = SymbolFiles(tmp_path, "BTCUSDT"), FollowedFiles(tmp_path, "BTCUSDT")
    assert followed.new_lines() == []
    add(files, 1, 2)
    assert followed.new_lines() == []
    files.flush()
    assert numbers(followed.new_lines()) == [1, 2]
    assert followed.new_lines() == []
    add(files, 3)
    files.finish()
    add(files, 4)
    files.flush()
    assert numbers(followed.new_lines()) == [3, 4]
    add(files, 5)
    files.finish()
    assert numbers(followed.new_lines()) == [5]
    assert followed.new_lines() == []


def test_it_begins_with_the_newest_file_or_with_the_first(tmp_path: Path) -> None:
    files = SymbolFiles(tmp_path, "BTCUSDT")
    for number in (1, 2, 3):
        add(files, number)
        files.finish()
    assert numbers(FollowedFiles(tmp_path, "BTCUSDT").new_lines()) == [3]
    assert numbers(FollowedFiles(tmp_path, "BTCUSDT", from_start=True).new_lines()) == [1, 2, 3]
    assert FollowedFiles(tmp_path, "ETHUSDT", from_start=True).new_lines() == []


def test_a_recorder_that_is_killed_is_followed_by_the_next(tmp_path: Path) -> None:
    files, followed = SymbolFiles(tmp_path, "BTCUSDT"), FollowedFiles(tmp_path, "BTCUSDT", from_start=True)
    add(files, 1)
    files.flush()
    assert numbers(followed.new_lines()) == [1]
    add(files, 2)
    files.flush()
    add(files, 3)
    del files  # what was not flushed is gone with it
    recover(tmp_path, "BTCUSDT")
    files = SymbolFiles(tmp_path, "BTCUSDT")
    add(files, 4)
    files.flush()
    assert numbers(followed.new_lines()) == [2, 4]
