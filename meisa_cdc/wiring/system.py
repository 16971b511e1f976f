"""The machine: its clock, its threads, the folders that come with the package."""

import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import ParamSpec, TypeVar

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
    """A thread for each task, that nobody waits for: a request that hangs holds no exit up."""

    def __init__(self, name: str) -> None:
        self._name = name

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start the task at once."""
        future: Future[T] = Future()
        task = partial(fn, *args, **kwargs)
        Thread(target=_fulfil, args=(future, task), name=self._name, daemon=True).start()
        return future


def _fulfil(future: Future[T], task: Callable[[], T]) -> None:
    try:
        result = task()
    except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
        future.set_exception(error)
    else:
        future.set_result(result)


def shipped(folder: str) -> Path:
    """Return a folder that comes with the package: `migrations`, `mappings`."""
    inside = Path(__file__).parents[1] / folder
    return inside if inside.is_dir() else inside.parents[1] / folder
