"""The process that answers: one question at a time, bounded in time and memory, replaced where it dies."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import psutil
import pytest

from tracebank.explorer.worker import Busy, Failed, Refused, TookTooLong, Worker
from tracebank.settings import Settings

Use = Callable[[Worker], Awaitable[None]]


def _with(settings: Settings, function: str, use: Use, **options: float) -> None:
    async def used() -> None:
        worker = Worker(f"tests.explorer.answers:{function}", settings, **options)  # type: ignore[arg-type]
        try:
            await use(worker)
        finally:
            await worker.close()

    asyncio.run(used())


def test_answers_come_from_one_other_process(settings: Settings) -> None:
    async def use(worker: Worker) -> None:
        assert worker.pid is None  # nothing is started before it is asked
        answers = await asyncio.gather(*(worker.ask(n, "\0<b>", {"a": [None]}, timeout=60) for n in range(5)))
        assert [answer[1:] for answer in answers] == [[n, "\0<b>", {"a": [None]}] for n in range(5)]
        assert {answer[0] for answer in answers} == {worker.pid}
        assert worker.pid != os.getpid()

    _with(settings, "echo", use)


def test_one_that_is_killed_is_replaced(settings: Settings) -> None:
    async def use(worker: Worker) -> None:
        [first, _] = await worker.ask("", timeout=60)
        os.kill(first, signal.SIGKILL)
        while worker.pid:  # until its end has been heard
            await asyncio.sleep(0.01)
        [second, _] = await worker.ask("", timeout=60)
        assert second != first
        assert not psutil.pid_exists(first)

    _with(settings, "echo", use)


def test_faults_are_told_and_leave_it_to_answer_the_next(settings: Settings) -> None:
    async def use(worker: Worker) -> None:
        assert await worker.ask("first", timeout=60) == "first"
        pid = worker.pid
        with pytest.raises(Refused, match=r"^what: 'refuse' is not allowed$"):
            await worker.ask("refuse", timeout=60)
        with pytest.raises(Busy, match="'somebody'"):
            await worker.ask("busy", timeout=60)
        with pytest.raises(Failed, match=r"^of "):
            await worker.ask("fail", timeout=60)
        with pytest.raises(Refused, match="cannot be asked"):
            await worker.ask(object(), timeout=60)
        assert worker.pid == pid
        with pytest.raises(Failed, match="ended before its answer"):
            await worker.ask("die", timeout=60)
        assert await worker.ask("again", timeout=60) == "again"

    _with(settings, "act", use)


def test_one_that_takes_too_long_is_stopped_while_others_wait_or_are_turned_away(settings: Settings) -> None:
    async def use(worker: Worker) -> None:
        await worker.start()
        slow = asyncio.create_task(worker.ask("sleep", timeout=1.5))
        await asyncio.sleep(0.1)
        pid = worker.pid
        waits = asyncio.create_task(worker.ask("next", timeout=60))
        await asyncio.sleep(0.1)
        with pytest.raises(Busy, match="1 questions wait already"):
            await worker.ask("one more", timeout=60)
        with pytest.raises(TookTooLong, match=r"longer than 1\.5 s"):
            await slow
        assert await waits == "next"
        assert pid is not None
        assert not psutil.pid_exists(pid)

    _with(settings, "act", use, queue=1)


def test_turn_that_does_not_come_in_time_is_told(settings: Settings) -> None:
    async def use(worker: Worker) -> None:
        await worker.start()
        slow = asyncio.create_task(worker.ask("sleep", timeout=60))
        await asyncio.sleep(0.1)
        with pytest.raises(Busy, match="another question is answered since"):
            await worker.ask("next", timeout=60)
        slow.cancel()  # nobody waits for it any more
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert worker.pid is None
        assert await worker.ask("next", timeout=60) == "next"

    _with(settings, "act", use, patience=0.2)


def test_stream_waits_for_who_takes_it_and_stops_when_left(settings: Settings) -> None:
    async def use(worker: Worker) -> None:
        whole = b"".join([part async for part in worker.stream("stream", timeout=60)])
        assert whole == b"".join(bytes([number]) * 300_000 for number in range(200))
        pid = worker.pid
        async with aclosing(worker.stream("stream", timeout=60)) as left:
            assert (await anext(left))[0] == 0
        assert worker.pid is None  # it had not come to its end
        assert pid is not None
        assert await worker.ask("next", timeout=60) == "next"

    _with(settings, "act", use)


def test_memory_is_bounded(settings: Settings) -> None:
    async def use(worker: Worker) -> None:
        with pytest.raises(Refused, match="more memory than it may"):
            await worker.ask("eat", timeout=60)

    _with(settings, "act", use, memory=4 << 30)


def test_one_that_cannot_be_loaded_says_so(settings: Settings) -> None:
    async def use(worker: Worker) -> None:
        with pytest.raises(Failed, match=r"cannot be used: .*nothing"):
            await worker.ask(timeout=60)

    _with(settings, "nothing", use)
