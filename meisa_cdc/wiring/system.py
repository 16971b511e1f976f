"""The machine: its clock, its threads, the folders that come with the package."""

import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's clock; a sleep ends early once `stop` is set."""

    stop: Event = field(default_factory=Event)

    def now(self) -> float:
        """Return epoch seconds."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait, unless the process was asked to end."""
        self.stop.wait(seconds)


class Threads(Executor):
    """A thread for each task at once, that nobody waits for: one that hangs holds no exit up.

    Threads that are done take the next tasks: starting one costs as much as a whole request.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        #: Where the threads that have nothing to do are listening.
        self._idle: list[SimpleQueue[Callable[[], None]]] = []

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start the task at once."""
        future: Future[T] = Future()
        task = partial(fn, *args, **kwargs)
        try:
            ear = self._idle.pop()
        except IndexError:
            ear = SimpleQueue()
            Thread(target=self._work, args=(ear,), name=self._name, daemon=True).start()
        ear.put(lambda: self._fulfil(future, task, ear))
        return future

    def _work(self, ear: SimpleQueue[Callable[[], None]]) -> None:
        while True:
            ear.get()()

    def _fulfil(
        self, future: Future[T], task: Callable[[], T], ear: SimpleQueue[Callable[[], None]]
    ) -> None:
        error, result = None, None
        try:
            result = task()
        except BaseException as failed:  # noqa: BLE001 - raised again where the result is asked for
            error = failed
        # Before anybody hears of the result: what they submit next is for this thread.
        self._idle.append(ear)
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(cast("T", result))


def shipped(folder: str) -> Path:
    """Return a folder that comes with the package: `migrations`, `mappings`."""
    inside = Path(__file__).parents[1] / folder
    return inside if inside.is_dir() else inside.parents[1] / folder
