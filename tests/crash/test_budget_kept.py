"""The request windows over real HTTP: never exceeded and well used, whatever happens to us."""

import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread
from typing import Self

import pytest

from meisa_cdc.sandbox import RequestRecord, SandboxOptions, parse_limits
from tests.installation import PROMISE, Installation, most_within, needless, people, until

LIMITS = "60/2s,200/10s"
#: Of the window that binds in the long run.
PER_SECOND = 20.0
CONTACTS = 450
IN_FLIGHT = 4
#: Of the short window at once, then 55 in two seconds; and what in flight may be late by.
MOST_A_SECOND = 5 + 55 / 2 + IN_FLIGHT + 1
#: Seconds that anybody may be late on a machine that is not standing still.
LATE = 0.1


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Installation]:
    """Yield an installation with work for more than two of the long windows."""
    options = SandboxOptions(limits=parse_limits(LIMITS))
    settings = {
        "MEISA_CDC_MEISA__LIMITS": LIMITS,
        "MEISA_CDC_MEISA__TIMEOUT": "3s",
        "MEISA_CDC_MEISA__CONCURRENCY": str(IN_FLIGHT),
    }
    with Installation.at(tmp_path, options, **settings) as home:
        home.app_has(people(CONTACTS))
        yield home


def check_limits(home: Installation) -> None:
    """See that nothing was refused, and that no span of a window's length held too many."""
    requests = home.account.requests()
    assert {record.status for record in requests} <= {200, None}
    for window in parse_limits(LIMITS):
        assert most_within((r.at for r in requests), window.period) <= window.count


def use(requests: list[RequestRecord], stalls: Iterable[tuple[float, float]] = ()) -> float:
    """Return the share of what the windows allow that was sent, from the first to the last.

    Times at which the machine stood still, as (from, to), are left out.
    """
    first, last = requests[0].at, requests[-1].at
    lost = sum(max(0.0, min(last, end) - max(first, begin)) for begin, end in stalls)
    return len(requests) / (PER_SECOND * (last - first - lost))


class Pulse:
    """Notes when the machine stood still, no fault of ours: (from, to) in epoch seconds."""

    def __init__(self) -> None:
        self.stalls: list[tuple[float, float]] = []
        self._over = Event()
        self._thread = Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        last = time.time()
        while not self._over.wait(LATE / 5):
            now = time.time()
            if now - last > LATE:
                self.stalls.append((last, now))
            last = now


def test_a_long_run_keeps_the_limits_and_uses_them(home: Installation):
    """Two kinds of windows at once refuse nothing, and at least nine tenths are used."""
    document = home.sync()
    assert (document["delivered"], document["requests"]) == (CONTACTS, CONTACTS)
    check_limits(home)
    assert use(home.account.requests()) >= 0.9
    assert home.in_step()


def test_f14_a_restart_keeps_the_limits(home: Installation):
    """The next process knows what the one before has used."""
    with home.program("run") as first:
        until(lambda: len(home.account.requests()) >= CONTACTS // 2)
        first.signal(signal.SIGTERM)
        assert first.ended() == 0
    before = home.account.requests()
    with home.program("run") as second:
        until(home.in_step, within=60.0)
        second.signal(signal.SIGTERM)
        assert second.ended() == 0
    check_limits(home)
    after = home.account.requests(before[-1].number)
    assert min(use(before), use(after)) >= 0.9


def test_f06_one_leads_and_two_stand_by(home: Installation):
    """Whichever takes over goes on in the same windows, evenly, and wastes none of them."""
    with ExitStack() as stack:
        pulse = stack.enter_context(Pulse())
        every = [stack.enter_context(home.program("run")) for _ in range(3)]
        until(lambda: sorted(each.role() for each in every) == ["leading", "standby", "standby"])
        leader = next(each for each in every if each.role() == "leading")
        others = [each for each in every if each is not leader]
        until(lambda: len(home.account.requests()) >= CONTACTS // 2)
        leader.signal(signal.SIGKILL)
        leader.ended()
        before = home.account.requests()
        until(lambda: any(each.events("leading") for each in others))
        until(home.in_step, within=60.0)
        assert sorted(each.role() for each in others) == ["leading", "standby"]
    check_limits(home)
    after = home.account.requests(before[-1].number)
    for requests in (before, after):
        assert use(requests, pulse.stalls) >= 0.9
        assert most_within((each.at for each in requests), 1.0) <= MOST_A_SECOND
    assert needless(home.account) <= IN_FLIGHT


def test_f06_a_take_over_keeps_the_limits(home: Installation):
    """One that stood by knows what the dead leader has used, and what it left under way."""
    with home.program("run") as first, home.program("run") as second:
        until(lambda: {first.role(), second.role()} == {"leading", "standby"})
        leader, other = (first, second) if first.role() == "leading" else (second, first)
        until(lambda: len(home.account.requests()) >= CONTACTS // 2)
        leader.signal(signal.SIGKILL)
        leader.ended()
        before = home.account.requests()
        other.heard("leading", within=PROMISE + 2.0)
        until(home.in_step, within=60.0)
    check_limits(home)
    after = home.account.requests(before[-1].number)
    assert min(use(before), use(after)) >= 0.9
