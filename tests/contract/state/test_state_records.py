"""What every state promises of what it remembers besides contacts."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from meisa_cdc.core.contact import Contact, Observation
from meisa_cdc.core.delivery import request_for
from meisa_cdc.core.mapping import Column
from meisa_cdc.core.outcome import Kind, Outcome
from meisa_cdc.core.values import Value
from meisa_cdc.ports import State
from meisa_cdc.records import Concluded, HoldRecord, MappingRecord, Settled

PLAN = "contacts/plan"
COLUMNS = (Column(name="external_id", type="integer"), Column(name="plan"))
ACCEPTED = Outcome(kind=Kind.ACCEPTED, code="accepted")
HOLD = HoldRecord(
    digest="d1",
    mapping=PLAN,
    reason="change",
    message="most contacts would change",
    contacts=2,
    file="f1",
    recorded_at=10.0,
)
CHANGES = {"a": b"\x01", "b": b"\x02"}


def request(state: State, *, started: float, done: float | None, key: str = "") -> int:
    """Put a request on record; return its id."""
    deadline = started + 30
    if key:
        state.settle([key], lambda *_: Settled(contact=Contact(external_id=key)), now=started)
        (grant,) = state.grant_deliveries(
            [key],
            now=started,
            deadline=deadline,
            admit=lambda _: (),
            intend=lambda contact: (contact, request_for(contact)),
        )
    else:
        ping = state.grant("ping", now=started, deadline=deadline, admit=lambda _: ())
        assert ping is not None
        grant = ping
    if done is not None:
        state.complete(Concluded(grant=grant, now=done, outcome=ACCEPTED))
    return grant.id


def observe(state: State, key: str, *, row: bool | None, present: bool = True) -> None:
    """Store that the mapping had a row for the contact, had none, or was forgotten."""
    seen = None if row is None else Observation(b"1", row)
    known = Contact(external_id=key, present=present)
    state.settle([key], lambda *_: Settled(contact=known, observed={PLAN: seen}), now=1.0)


def test_a_read_is_remembered(state: State):
    """The file's digest, the columns and the time are those of the last read."""
    state.record_read(PLAN, "old", (), now=1.0)
    state.record_read(PLAN, "f1", COLUMNS, now=2.5)
    record = MappingRecord(name=PLAN, digest="f1", columns=COLUMNS, read_at=2.5, covered=0)
    assert state.mappings() == {PLAN: record}


def test_coverage_counts_present_contacts_with_a_row(state: State):
    """A row more or less, a contact that goes, an observation forgotten: the count follows."""
    for key in "abcd":
        observe(state, key, row=True)
    observe(state, "e", row=False)
    assert state.mappings()[PLAN] == MappingRecord(
        name=PLAN, digest="", columns=(), read_at=None, covered=4, settled=5
    )
    observe(state, "a", row=True)
    observe(state, "b", row=False)
    observe(state, "c", row=None)
    observe(state, "d", row=True, present=False)
    assert state.mappings()[PLAN].covered == 1
    observe(state, "d", row=True)
    observe(state, "e", row=True)
    assert state.mappings()[PLAN].covered == 3


def test_the_first_load_is_remembered(state: State):
    """It happens once in the life of a state."""
    assert not state.first_load_done()
    state.record_first_load(5.0)
    assert state.first_load_done()


def test_a_hold_is_recorded_with_its_changes(state: State):
    """A recorded hold is listed; its changes count once it is approved."""
    state.record_hold(HOLD, iter(CHANGES.items()))
    assert state.holds() == [HOLD]
    assert state.approved_changes("d1", ["a"]) == {}
    approved = state.approve("d1", 20.0)
    assert approved == replace(HOLD, approved_at=20.0)
    assert state.holds() == [approved]
    assert state.approved_changes("d1", ["b", "x"]) == {"b": b"\x02"}
    assert state.approved_changes("other", ["b"]) == {}


def test_a_new_hold_takes_the_place_of_the_mappings_earlier_one(state: State):
    """One hold a mapping; others stay, and what was approved of the old one counts no more."""
    other = replace(HOLD, mapping="contacts/usage", digest="d9", recorded_at=11.0)
    state.record_hold(HOLD, iter(CHANGES.items()))
    state.record_hold(other, iter({"z": b"\x09"}.items()))
    state.approve("d1", 20.0)
    later = replace(HOLD, digest="d2", recorded_at=30.0)
    state.record_hold(later, iter({"a": b"\x03"}.items()))
    assert state.holds() == [other, later]
    assert state.approved_changes("d1", ["a"]) == {}
    assert state.approve("d1", 40.0) is None


def test_the_same_hold_recorded_again_keeps_its_approval(state: State):
    """A person may approve between a look and its record; that is not undone."""
    state.record_hold(HOLD, iter(CHANGES.items()))
    state.approve("d1", 20.0)
    state.record_hold(replace(HOLD, recorded_at=99.0), iter(CHANGES.items()))
    assert state.holds() == [replace(HOLD, approved_at=20.0)]
    assert state.approved_changes("d1", ["a"]) == {"a": b"\x01"}


def test_an_edited_file_makes_another_hold(state: State):
    """A hold on another version of the file is another one, approved or not."""
    state.record_hold(HOLD, iter(CHANGES.items()))
    state.approve("d1", 20.0)
    edited = replace(HOLD, file="f2")
    state.record_hold(edited, iter(CHANGES.items()))
    assert state.holds() == [edited]


def test_an_approval_keeps_its_first_time(state: State):
    """Approving twice is approving once; approving nothing finds nothing."""
    state.record_hold(HOLD, iter(CHANGES.items()))
    assert state.approve("none", 1.0) is None
    state.approve("d1", 20.0)
    assert state.approve("d1", 30.0) == replace(HOLD, approved_at=20.0)


def test_a_dropped_hold_is_gone(state: State):
    """Dropping takes the holds of these mappings alone, approved ones as well."""
    other = replace(HOLD, mapping="contacts/usage", digest="d9")
    for hold in (HOLD, other):
        state.record_hold(hold, iter(CHANGES.items()))
    state.approve("d1", 20.0)
    state.drop_holds([PLAN, "contacts/none"])
    state.drop_holds([])
    assert state.holds() == [other]
    assert state.approved_changes("d1", ["a"]) == {}


def test_a_hold_may_be_large(state: State):
    """Changes come from an iterator, in any number."""
    changes = {f"{number:05}": number.to_bytes(2) for number in range(12_000)}
    state.record_hold(HOLD, iter(changes.items()))
    state.approve("d1", 20.0)
    assert state.approved_changes("d1", list(changes)) == changes
    state.drop_holds([PLAN])
    assert state.approved_changes("d1", ["00001"]) == {}


def test_a_hold_counts_once_all_of_it_is_recorded(state: State):
    """Where the changes break off the earlier hold stays in force, and nothing of the new one."""

    def broken() -> Iterator[tuple[str, bytes]]:
        yield from ((f"{number:05}", b"new") for number in range(6000))
        raise ArithmeticError

    state.record_hold(HOLD, iter(CHANGES.items()))
    later = replace(HOLD, digest="d2")
    with pytest.raises(ArithmeticError):
        state.record_hold(later, broken())
    assert state.holds() == [HOLD]
    assert state.approve("d2", 20.0) is None
    state.record_hold(later, iter({"a": b"whole"}.items()))
    state.approve("d2", 30.0)
    assert state.approved_changes("d2", ["a", "00001"]) == {"a": b"whole"}


def test_runs_are_listed_newest_first(state: State):
    """A run is on record from its start; its result follows."""
    first = state.start_run("sync", 1.0)
    second = state.start_run("run", 2.0)
    state.end_run(first, 3.0, 4, {"delivered": 1, "guard": {"holds": []}})
    newest, oldest = state.runs(9)
    assert (newest.id, newest.command, newest.ended_at, newest.result) == (second, "run", None, {})
    assert (oldest.started_at, oldest.ended_at, oldest.exit_code) == (1.0, 3.0, 4)
    assert oldest.result == {"delivered": 1, "guard": {"holds": []}}
    assert [run.id for run in state.runs(1)] == [second]


def test_deliveries_are_listed_newest_first(state: State):
    """By contact, since a time, at most so many."""
    ids = [request(state, started=float(at), done=None, key="ab"[at % 2]) for at in range(1, 6)]
    assert [each.id for each in state.deliveries()] == ids[::-1]
    assert [each.id for each in state.deliveries(external_id="a")] == [ids[3], ids[1]]
    assert [each.id for each in state.deliveries(since=4.0)] == [ids[4], ids[3]]
    assert [each.id for each in state.deliveries(most=2)] == [ids[4], ids[3]]
    assert [each.id for each in state.deliveries(external_id="b", since=3.0, most=1)] == [ids[4]]
    assert list(state.deliveries(most=0)) == []


def test_prune_forgets_what_ended_long_ago(state: State):
    """Old requests and runs go, also those whose process died; recent ones stay."""
    old = state.start_run("sync", 1.0)
    state.end_run(old, 5.0, 0, {})
    state.start_run("died", 2.0)
    kept = state.start_run("sync", 3.0)
    state.end_run(kept, 500.0, 0, {})
    under_way = state.start_run("run", 400.0)
    request(state, started=1.0, done=2.0)
    request(state, started=1.0, done=None)
    recent = request(state, started=1.0, done=450.0)
    state.prune(100.0)
    assert [run.id for run in state.runs(9)] == [under_way, kept]
    assert [each.id for each in state.deliveries()] == [recent]


def test_what_was_forgotten_may_still_end(state: State):
    """A run or a request outlasts its record where a process slept for weeks."""
    run = state.start_run("run", 1.0)
    grant = state.grant("ping", now=1.0, deadline=2.0, admit=lambda _: ())
    assert grant is not None
    newest = request(state, started=1.0, done=2.0)
    state.prune(100.0)
    state.end_run(run, 200.0, 0, {})
    state.complete(Concluded(grant=grant, now=200.0, outcome=ACCEPTED))
    assert list(state.runs(9)) == []
    assert [each.id for each in state.deliveries()] == [newest]


def test_the_number_of_a_request_is_never_given_again(state: State):
    """Rejections are forgiven up to a number, so that a new request must not fall below it."""
    last = request(state, started=1.0, done=2.0)
    state.prune(1e9)
    assert request(state, started=3.0, done=4.0) > last


def test_notes_are_any_json(state: State):
    """A note is what was noted last under its name."""
    values: list[Value] = [{"limits": [60, None]}, "text", 1.5, [], None, 7]
    for value in values:
        state.set_note("limits", value)
        state.set_note("other", "x")
        assert state.note("limits") == value
    assert state.note("never") is None


def test_a_state_belongs_to_one_meisa(state: State):
    """Which Meisa filled it is remembered, the last answer counting."""
    assert state.belongs_to() is None
    state.set_belongs_to("product-1", "live")
    assert state.belongs_to() == {"product": "product-1", "environment": "live"}
