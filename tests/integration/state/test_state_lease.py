"""One process at a time: taking, keeping, losing and giving back the lease."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from meisa_cdc.core.errors import LeaseHeld, LeaseLost
from meisa_cdc.core.outcome import Kind, Outcome
from meisa_cdc.records import Concluded
from meisa_cdc.state import LeaseKeeper, SqlState, holder_name, open_state
from meisa_cdc.testing import HandClock
from tests.integration.state.states import fill, process, start, statement, waiting

HOLDING = """
import sys
from meisa_cdc.state import LeaseKeeper, open_state
from meisa_cdc.testing import HandClock

state = open_state(sys.argv[1], clock=HandClock())
with LeaseKeeper(state.lease("run on elsewhere pid 1")):
    print("held", flush=True)
    sys.stdin.read()
"""
DEFERRED = Outcome(kind=Kind.DEFERRED, code="http_503", attempt=True)


def pass_time(url: str, clock: HandClock, seconds: float) -> None:
    """Let that much time pass without anybody renewing the lease."""
    clock.advance(seconds)
    if url.startswith("postgres"):
        # The server's clock is what counts there.
        statement(
            url,
            f"UPDATE lease SET renewed_at = renewed_at - {seconds},"
            f" expires_at = expires_at - {seconds}",
        )


def test_f06_the_second_process_is_refused_and_told_the_holder(state_url: str, clock: HandClock):
    """While one process holds the lease no other gets it; reading and approving it may."""
    with process(HOLDING, state_url) as other, open_state(state_url, clock=clock) as state:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(LeaseHeld, match="run on elsewhere pid 1") as refused:
            state.lease("sync").acquire()
        assert refused.value.holder == "run on elsewhere pid 1"
        assert state.counts().contacts == 0
        assert state.approve("digest", 1.0) is None
        state.set_note("name", "value")
        other.communicate("")
        assert other.returncode == 0
        state.lease("sync").acquire()


def test_f06_a_holder_that_was_killed_is_noticed_within_ten_seconds(
    state_url: str, clock: HandClock
):
    """Nobody gives the lease back; it is free ten seconds after its holder's death."""
    with open_state(state_url, clock=clock) as state:
        with process(HOLDING, state_url) as other:
            assert other.stdout is not None
            other.stdout.readline()
            other.send_signal(signal.SIGKILL)
        lease = state.lease("sync")
        with pytest.raises(LeaseHeld):
            lease.acquire()
        pass_time(state_url, clock, 10.0)
        lease.acquire()
        assert lease.fence == 2


def test_f06_a_lease_that_is_renewed_does_not_run_out(state_url: str, clock: HandClock):
    """Each renewal counts from its own time."""
    with open_state(state_url, clock=clock) as state, open_state(state_url, clock=clock) as other:
        lease = state.lease("run")
        lease.acquire()
        for _ in range(5):
            pass_time(state_url, clock, 7.0)
            lease.renew()
            with pytest.raises(LeaseHeld):
                other.lease("sync").acquire()


def test_f06_a_lease_that_was_given_back_is_free(state_url: str, clock: HandClock):
    """Nobody waits after a holder that ended properly; its number is not used again."""
    with open_state(state_url, clock=clock) as state, open_state(state_url, clock=clock) as other:
        first = state.lease("sync")
        first.acquire()
        first.release()
        first.release()
        second = other.lease("run")
        second.acquire()
        assert second.fence == 2
        with pytest.raises(LeaseLost):
            state.set_note("name", "value")


WRITES: list[Callable[[SqlState], object]] = [
    lambda state: state.settle(["00001"], waiting, now=1.0),
    lambda state: start(state, "00001"),
    lambda state: state.grant("ping", now=1.0, deadline=2.0, admit=lambda _: ()),
    lambda state: state.release(),
    lambda state: state.record_read("contacts/plan", "d", (), 1.0),
    lambda state: state.record_first_load(1.0),
    lambda state: state.start_run("sync", 1.0),
    lambda state: state.end_run(1, 1.0, 0, {}),
    lambda state: state.prune(1.0),
    lambda state: state.drop_holds(["contacts/plan"]),
    lambda state: state.approve("digest", 1.0),
    lambda state: state.set_note("name", 1),
    lambda state: state.set_belongs_to("product", "live"),
]


def test_f07_a_process_that_lost_its_lease_writes_nothing(state_url: str, clock: HandClock):
    """A holder that was paused finds out before its next write, whichever it is."""
    with open_state(state_url, clock=clock) as paused, open_state(state_url, clock=clock) as other:
        paused.lease("run on a").acquire()
        fill(paused)
        grant = start(paused, "00000")
        assert grant is not None
        pass_time(state_url, clock, 9.0)
        other.lease("run on b").acquire()
        before = other.counts(), other.usage(99), list(other.deliveries()), other.runs(9)
        for write in WRITES:
            with pytest.raises(LeaseLost):
                write(paused)
        with pytest.raises(LeaseLost):
            paused.complete(Concluded(grant=grant, now=50.0, outcome=DEFERRED))
        assert (other.counts(), other.usage(99), list(other.deliveries()), other.runs(9)) == before
        assert other.load(["00000"])["00000"].in_doubt == {"email", "custom_fields.note"}
        fill(other, first=1000)


def test_f07_a_lost_lease_can_be_won_again(state_url: str, clock: HandClock):
    """What stands by meanwhile writes nothing; with a lease of its own it does again."""
    with open_state(state_url, clock=clock) as paused, open_state(state_url, clock=clock) as other:
        lease = paused.lease("run on a")
        lease.acquire()
        pass_time(state_url, clock, 9.0)
        other.lease("run on b").acquire()
        with pytest.raises(LeaseLost):
            lease.renew()
        with pytest.raises(LeaseHeld, match="run on b"):
            lease.acquire()
        with pytest.raises(LeaseLost):
            paused.set_note("name", 1)
        pass_time(state_url, clock, 9.0)
        lease.acquire()
        paused.set_note("name", 2)
        with pytest.raises(LeaseLost):
            other.set_note("name", 3)
        assert other.note("name") == 2


def test_f07_a_late_holder_that_nobody_replaced_goes_on(state_url: str, clock: HandClock):
    """A pause that nobody made use of costs nothing."""
    with open_state(state_url, clock=clock) as state:
        lease = state.lease("run")
        lease.acquire()
        pass_time(state_url, clock, 3600.0)
        fill(state)
        lease.renew()
        assert state.counts().contacts > 0


def test_f07_a_take_over_waits_for_a_write_that_is_under_way(postgres_url: str, clock: HandClock):
    """Between the look at the fence and the commit nobody can change it; renewing it goes on."""
    engine = create_engine(postgres_url)
    with open_state(postgres_url, clock=clock) as state:
        lease = state.lease("run")
        lease.acquire()

        def take_over(key, known):
            lease.renew()
            with (
                pytest.raises(OperationalError, match="could not obtain lock"),
                engine.begin() as c,
            ):
                c.exec_driver_sql("SELECT * FROM lease FOR UPDATE NOWAIT")
            return waiting(key, known)

        state.settle(["a"], take_over, now=1.0)
        assert list(state.load(["a"])) == ["a"]
    engine.dispose()


@pytest.mark.parametrize("step", [-3600.0, 86_400.0])
def test_a_clock_that_jumps_does_not_lock_the_state(file: Path, step: float):
    """A dead holder's lease is over after a step of the clock in either direction."""
    clock = HandClock()
    with open_state(f"sqlite:///{file}", clock=clock) as state:
        state.lease("died").acquire()
        clock.advance(step)
        state.lease("sync").acquire()


class Telling(HandClock):
    """A clock that tells when it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.read = threading.Semaphore(0)

    def now(self) -> float:
        """Return the time in epoch seconds."""
        self.read.release()
        return super().now()


def test_a_kept_lease_is_renewed_and_given_back(file: Path):
    """The keeper renews in the background, and leaves the lease free."""
    clock = Telling()
    url = f"sqlite:///{file}"
    with open_state(url, clock=clock) as state, open_state(url, clock=HandClock()) as other:
        with LeaseKeeper(state.lease("run"), every=0.001) as keeper:
            for _ in range(4):
                assert clock.read.acquire(timeout=30)
            assert keeper.lost is None
            with pytest.raises(LeaseHeld):
                other.lease("sync").acquire()
        other.lease("sync").acquire()


def test_f07_a_keeper_finds_out_that_its_lease_is_gone(state_url: str, clock: HandClock):
    """It says so, stops renewing, and does not give back what is another's."""
    with open_state(state_url, clock=clock) as state, open_state(state_url, clock=clock) as other:
        with LeaseKeeper(state.lease("run on a"), every=0.001) as keeper:
            statement(state_url, "UPDATE lease SET fence = fence + 1, holder = 'run on b'")
            keeper.join(30)
            assert isinstance(keeper.lost, LeaseLost)
        with pytest.raises(LeaseHeld, match="run on b"):
            other.lease("sync").acquire()


def test_a_holder_is_named_by_command_host_and_process():
    """What others are told is enough to find the process."""
    assert holder_name("run").startswith("run on ")
    assert " pid " in holder_name("run")
