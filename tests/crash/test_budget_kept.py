"""The request windows over real HTTP: never exceeded and well used, whatever happens to us."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from meisa_cdc.sandbox import RequestRecord, SandboxOptions, parse_limits
from tests.installation import PROMISE, Installation, most_within, people, until

LIMITS = "60/2s,200/10s"
#: Of the window that binds in the long run.
PER_SECOND = 20.0
CONTACTS = 450


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Installation]:
    """Yield an installation with work for more than two of the long windows."""
    options = SandboxOptions(limits=parse_limits(LIMITS))
    settings = {"MEISA_CDC_MEISA__LIMITS": LIMITS, "MEISA_CDC_MEISA__TIMEOUT": "3s"}
    with Installation.at(tmp_path, options, **settings) as home:
        home.app_has(people(CONTACTS))
        yield home


def check_limits(home: Installation) -> None:
    """See that nothing was refused, and that no span of a window's length held too many."""
    requests = home.account.requests()
    assert {record.status for record in requests} <= {200, None}
    for window in parse_limits(LIMITS):
        assert most_within((r.at for r in requests), window.period) <= window.count


def use(requests: list[RequestRecord]) -> float:
    """Return the share of what the windows allow that was sent, from the first to the last."""
    elapsed = requests[-1].at - requests[0].at
    return len(requests) / (PER_SECOND * elapsed)


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
