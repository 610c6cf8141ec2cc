"""Files written past the page cache: every byte is there, whatever the sizes, and also where that way is not open."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracebank_models.activations import direct_file
from tracebank_models.activations.direct_file import DirectFile

BLOCK = 1 << 20
CONTENT = bytes(range(251)) * (4 * BLOCK // 251)


def _written(path: Path, sizes: list[int]) -> bytes:
    """What lies in a file after writes of these sizes; the bytes of each go on where those before it ended."""
    path.unlink(missing_ok=True)
    with DirectFile(path) as file:
        for size in sizes:
            at = file.tell()
            assert file.write(CONTENT[at : at + size]) == size
            assert file.tell() == at + size
    return path.read_bytes()


@pytest.mark.parametrize(
    "sizes",
    [
        [],
        [0],
        [1],
        [4_096],
        [4_097],
        [BLOCK],
        [BLOCK - 1, 1],
        [BLOCK - 1, 2],
        [BLOCK + 1],
        [3 * BLOCK + 5_000],
        [7] * 9,
    ],
    ids=str,
)
def test_every_byte_is_there(tmp_path: Path, sizes: list[int]) -> None:
    assert _written(tmp_path / "file", sizes) == CONTENT[: sum(sizes)]


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(0, BLOCK + 5_000), max_size=3))
def test_every_byte_is_there_for_any_sizes(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]) -> None:
    assert _written(tmp_path_factory.getbasetemp() / "direct", sizes) == CONTENT[: sum(sizes)]


def _refusing(real: Callable[..., int], after: int) -> Callable[..., int]:
    """`os.write` of a file system that takes the flag but, after some writes, no direct write."""
    calls = 0

    def write(file: int, data: memoryview) -> int:
        nonlocal calls
        import fcntl

        calls += 1
        if calls > after and fcntl.fcntl(file, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, "no direct write here")
        return real(file, data)

    return write


@pytest.mark.skipif(not hasattr(os, "O_DIRECT"), reason="this system has no O_DIRECT")
@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_file_system_without_direct_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    monkeypatch.setattr(direct_file.os, "write", _refusing(os.write, after))
    assert _written(tmp_path / "file", [3 * BLOCK + 17]) == CONTENT[: 3 * BLOCK + 17]


def test_a_system_without_direct_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct_file, "_DIRECT", 0)
    assert _written(tmp_path / "file", [BLOCK + 17]) == CONTENT[: BLOCK + 17]


def test_writes_that_take_a_part_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(direct_file.os, "write", lambda file, data: real(file, data[: max(1, len(data) // 3)]))
    assert _written(tmp_path / "file", [BLOCK + 17]) == CONTENT[: BLOCK + 17]


def test_a_full_disk_is_told_and_a_file_that_is_there_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").write_bytes(b"kept")
    with pytest.raises(FileExistsError):
        DirectFile(tmp_path / "there")
    assert (tmp_path / "there").read_bytes() == b"kept"

    def full(_file: int, _data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(direct_file.os, "write", full)
    with pytest.raises(OSError, match="No space left"), DirectFile(tmp_path / "file") as file:
        file.write(CONTENT[: BLOCK + 1])
