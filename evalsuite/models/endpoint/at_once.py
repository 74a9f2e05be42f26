"""Work done in several threads, each piece handed on as it is done."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Job = TypeVar("Job")
Done = TypeVar("Done")


@dataclass
class _Shared(Generic[Job, Done]):
    """What the threads share.

    Attributes:
        work: Done to each job.
        jobs: Taken in order.
        stop: Set when no more are to be begun.
        todo: Positions of jobs not begun.
        done: Position and what came of it; None where a thread ended.
    """

    work: Callable[[Job], Done]
    jobs: Sequence[Job]
    stop: threading.Event
    todo: queue.SimpleQueue[int] = field(default_factory=queue.SimpleQueue)
    done: queue.SimpleQueue[tuple[int, Done | Exception] | None] = field(
        default_factory=queue.SimpleQueue
    )

    def run(self) -> None:
        """Do jobs until there are no more."""
        while not self.stop.is_set():
            try:
                place = self.todo.get_nowait()
            except queue.Empty:
                break
            try:
                self.done.put((place, self.work(self.jobs[place])))
            except Exception as error:
                self.done.put((place, error))
        self.done.put(None)


def at_once(
    work: Callable[[Job], Done], jobs: Sequence[Job], workers: int, stop: threading.Event
) -> Iterator[tuple[int, Done]]:
    """Yield ``(position, work(job))`` of jobs done in several threads, as they come.

    Args:
        work: Done to each job.
        jobs: Taken in order.
        workers: Threads.
        stop: Set at a failure, or when nobody listens any more.

    Raises:
        Exception: The first that ``work`` raised, once all that was under way has ended.
    """
    shared = _Shared(work, jobs, stop)
    for place in range(len(jobs)):
        shared.todo.put(place)
    under_way = min(workers, len(jobs))
    for _ in range(under_way):
        # daemons: what waits for a server does not keep an interrupted process from ending
        threading.Thread(target=shared.run, daemon=True).start()
    failure: Exception | None = None
    try:
        while under_way:
            answer = shared.done.get()
            if answer is None:
                under_way -= 1
            elif isinstance(answer[1], Exception):
                failure = failure or answer[1]
                stop.set()
            else:
                yield answer[0], answer[1]
    finally:
        stop.set()
    if failure is not None:
        raise failure
