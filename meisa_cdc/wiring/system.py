"""The machine: its clock, its threads, the folders that come with the package."""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import Any, ParamSpec, TypeVar

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


@dataclass(frozen=True, slots=True)
class _Task:
    """Something to do, and whoever waits for what comes of it."""

    call: Callable[[], Any]
    future: Future[Any]


class Threads(Executor):
    """A thread for each task, that nobody waits for: one that hangs holds no exit up.

    With `most`, tasks beyond so many wait for a thread, and may be cancelled until they have one.
    Threads that are done take the next tasks: starting one costs as much as a whole request.
    """

    def __init__(self, name: str, most: int | None = None) -> None:
        self._name = name
        self._most = most
        self._started = 0
        self._lock = Lock()
        #: Where the threads that have nothing to do are listening.
        self._idle: list[SimpleQueue[_Task]] = []
        self._waiting: deque[_Task] = deque()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start the task, at once where there may be a thread for it."""
        task = _Task(partial(fn, *args, **kwargs), Future())
        with self._lock:
            if self._idle:
                self._idle.pop().put(task)
            elif self._most is None or self._started < self._most:
                self._started += 1
                Thread(target=self._work, args=(task,), name=self._name, daemon=True).start()
            else:
                self._waiting.append(task)
        return task.future

    def _work(self, task: _Task | None) -> None:
        ear: SimpleQueue[_Task] = SimpleQueue()
        while True:
            task = self._done(task or ear.get(), ear)

    def _done(self, task: _Task, ear: SimpleQueue[_Task]) -> _Task | None:
        """Do a task; return the next one, if any waits."""
        if not task.future.set_running_or_notify_cancel():
            return self._next(ear)
        error, result = None, None
        try:
            result = task.call()
        except BaseException as failed:  # noqa: BLE001 - raised again where the result is asked for
            error = failed
        # Before anybody hears of the result: what they submit next is for this thread.
        following = self._next(ear)
        if error is not None:
            task.future.set_exception(error)
        else:
            task.future.set_result(result)
        return following

    def _next(self, ear: SimpleQueue[_Task]) -> _Task | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._idle.append(ear)
            return None


def shipped(folder: str) -> Path:
    """Return a folder that comes with the package: `migrations`, `mappings`."""
    inside = Path(__file__).parents[1] / folder
    return inside if inside.is_dir() else inside.parents[1] / folder
