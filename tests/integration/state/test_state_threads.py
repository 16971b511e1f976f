"""Several threads and processes on one state."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from meisa_cdc.core.budget import Usage, paused
from meisa_cdc.core.contact import Contact, Observation
from meisa_cdc.core.delivery import settle
from meisa_cdc.core.outcome import Kind, Outcome
from meisa_cdc.ports import State
from meisa_cdc.records import Concluded, Settled
from meisa_cdc.state import SqlState, open_state
from meisa_cdc.testing import HandClock
from tests.integration.state.states import CONTACTS, fill, intent, waiting

ACCEPTED = Outcome(kind=Kind.ACCEPTED, code="accepted", meisa_id="m")
THREADS, ROOM = 4, 50


@contextmanager
def several(url: str, clock: HandClock) -> Iterator[list[SqlState]]:
    """Yield the state as several processes would have opened it."""
    with ExitStack() as stack:
        yield [stack.enter_context(open_state(url, clock=clock)) for _ in range(THREADS)]


def together(work: Callable[[int], object]) -> list:
    """Do the work in several threads at once; raise what any of them raises."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, range(THREADS)))


def test_the_budget_holds_across_processes(state_url: str, clock: HandClock):
    """Whoever asks, no more requests start than there is room for, and no fewer."""

    def admit(usage: Usage) -> Sequence[float] | None:
        return (float(len(usage.done)),) if len(usage.done) < ROOM else None

    with several(state_url, clock) as states:

        def ask(number: int) -> int:
            grants = (
                states[number].grant("ping", now=1.0, deadline=9.0, admit=admit, most=ROOM)
                for _ in range(ROOM)
            )
            return sum(grant is not None for grant in grants)

        assert sum(together(ask)) == ROOM
        assert len(states[0].usage(99).done) == ROOM
        assert list(states[0].usage(0).paces) == [ROOM - 1]


def deliver(state: State, key: str) -> None:
    """Deliver one contact, with a pause afterwards."""
    (grant,) = state.grant_deliveries(
        [key], now=1.0, deadline=9.0, admit=lambda _: (1.0,), intend=intent
    )
    request = grant.request
    assert request is not None
    state.complete(
        Concluded(
            grant=grant,
            now=2.0,
            outcome=ACCEPTED,
            settle=lambda contact: settle(contact, request, ACCEPTED, started=1.0, now=2.0),
            react=lambda usage, _: paused(usage, 3.0),
        )
    )


def test_deliveries_and_passes_go_on_beside_each_other(state_url: str, clock: HandClock):
    """Threads that settle, deliver and release the same contacts lose nothing of each other."""
    with open_state(state_url, clock=clock) as state:
        state.lease("run").acquire()
        keys = fill(state)

        def again(key: str, known: Contact | None) -> Settled:
            assert known is not None
            return Settled(contact=known, observed={"contacts/plan": Observation(b"1", row=True)})

        def work(number: int) -> None:
            for key in keys[number:40:THREADS]:
                deliver(state, key)
                state.settle(list(reversed(keys)), again, now=2.0)
                state.release()
                assert state.counts().contacts == CONTACTS

        together(work)
        delivered = state.load(keys[:40])
        assert {contact.meisa_id for contact in delivered.values()} == {"m"}
        assert not any(contact.pending or contact.in_doubt for contact in delivered.values())
        assert state.counts().in_doubt == 0
        assert len(list(state.deliveries())) == 40
        assert state.mappings()["contacts/plan"].covered == CONTACTS


def test_new_contacts_of_several_writers_get_different_refs(state_url: str, clock: HandClock):
    """Refs stay dense and distinct whoever adds contacts."""
    with several(state_url, clock) as states:

        def add(number: int) -> None:
            for batch in range(10):
                keys = [f"{number}-{batch}-{each}" for each in range(10)]
                states[number].settle(keys, waiting, now=1.0)

        together(add)
        every = [key for batch in states[0].keys() for key in batch]  # noqa: SIM118 - no dictionary
        refs = sorted(contact.ref or 0 for contact in states[0].load(every).values())
    assert refs == list(range(1, THREADS * 100 + 1))
