"""Faults, crashes, late answers, new lists: nothing happens twice, or to the wrong person."""

from collections import Counter
from collections.abc import Mapping as Dict
from typing import Any

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from meisa_cdc.core.delivery import SETTLES
from meisa_cdc.core.guard import GuardSettings
from meisa_cdc.core.keys import email_key
from meisa_cdc.core.occurrence import Status
from meisa_cdc.core.outcome import Answer
from meisa_cdc.sync.once import Limits
from meisa_cdc.testing import HandClock, ScriptedMeisa
from meisa_cdc.testing.meisa import Scripted
from tests.property.test_sync_machine import Crash, SteppedClock
from tests.unit.sync.worlds import IDENTITY, Delayed, Inline, World, windows

ONCE, LEAST = "events/at_most_once", "events/at_least_once"
MAILS, TRIAL = "emails/receipts", "sequences/trial"
CRASHES = (
    "admit_occurrences.before",
    "admit_occurrences.after",
    "record_read.before",
    "grant.after",
    "grant_occurrences.before",
    "grant_occurrences.after",
    "store_occurrences.before",
    "store_occurrences.after",
    "complete.before",
    "complete.after",
)
FAULTS: tuple[Scripted, ...] = (
    "timeout_applied",
    "timeout_applied",
    "timeout_lost",
    "late",
    "late",
    "reset",
    "not_sent",
    400,
    401,
    403,
    404,
    422,
    500,
    Answer(status=429, retry_after=7.0),
    Answer(status=503, retry_after=3.0),
    Answer(status=200, body="<html>"),
)
PEOPLE = ("1", "2", "3")
#: How far the machine's clock may be set back: less than what is not relied upon of the hour.
SET_BACK = -250.0


class WatchfulMeisa(ScriptedMeisa):
    """A Meisa that looks at whom it is asked to write to."""

    world: World

    def trigger_email(self, body: Dict[str, Any]) -> Answer:
        """See to it that the address may be written to."""
        assert email_key(body["to_email"]) not in self.world.suppressions.emails
        as_of = self.world.suppressions.as_of
        assert as_of is not None
        assert self.world.clock.now() - as_of <= 86400.0
        return super().trigger_email(body)

    def track_event(self, body: Dict[str, Any]) -> Answer:
        """See to it that the contact was accepted, with nothing left to be said of it."""
        contact = self.world.state.contacts[body["external_id"]]
        assert contact.ledger
        assert contact.rank is None or self.world.state.not_before.get(contact.external_id, 0) > 0
        return super().track_event(body)


class Occurrences(RuleBasedStateMachine):
    """An app in which things happen, and a tool beside it that may die at any time."""

    world: World
    numbers: int
    backfilled: bool

    @initialize(backfill=st.booleans(), read=st.booleans())
    def begin(self, *, backfill: bool, read: bool) -> None:
        """Start with contacts in step, and mappings that were read once or never."""
        real = HandClock()
        clock = SteppedClock(real)
        self.world = World(clock=clock, emails=True, windows=windows("1000/1s"))
        self.world.guard = GuardSettings(max_new_rows=1000)
        self.world.meisa = meisa = WatchfulMeisa(real)
        meisa.world = self.world
        self.numbers = 0
        self.world.people(*PEOPLE[:2])
        columns = "event_id event_name external_id number"
        self.world.table(ONCE, columns, [], backfill=backfill)
        self.world.table(LEAST, columns, [], backfill=backfill, at_least_once=True)
        self.world.table(MAILS, "email_id trigger_key to_email number", [], priority=0)
        self.world.table(TRIAL, "sequence_slug email", [])
        self.list_pulled(suppressed=set())
        if read:
            self.world.sync()

    # ---------------------------------------------------------------- the app

    @rule(
        who=st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=3),
        name=st.sampled_from((ONCE, LEAST)),
    )
    def happen(self, who: list[str], name: str) -> None:
        """Somebody does something."""
        for each in who:
            self.numbers += 1
            self.world.rows(name).append((self.numbers, "done", each, self.numbers))

    @rule(who=st.sampled_from(PEOPLE))
    def pay(self, who: str) -> None:
        """Somebody is to get a receipt."""
        self.numbers += 1
        row = (self.numbers, "receipt", f"{who}@Example.com", self.numbers)
        self.world.rows(MAILS).append(row)

    @rule(who=st.sampled_from(PEOPLE), slug=st.sampled_from(("trial", "vip")))
    def begin_trial(self, who: str, slug: str) -> None:
        """Somebody begins a trial, perhaps again."""
        self.world.rows(TRIAL).append((slug, f"{who}@example.com"))

    @rule(name=st.sampled_from(("A", "B")))
    def rename(self, name: str) -> None:
        """Contacts change."""
        rows = self.world.rows(IDENTITY)
        rows[0] = (*rows[0][:2], name)

    @rule()
    def sign_up(self) -> None:
        """The third one appears."""
        if len(self.world.rows(IDENTITY)) < len(PEOPLE):
            self.world.rows(IDENTITY).append(("3", "3@example.com", "New"))

    # ---------------------------------------------------------------- Meisa and time

    @rule(suppressed=st.sets(st.sampled_from([f"{who}@example.com" for who in PEOPLE])))
    def list_pulled(self, suppressed: set[str]) -> None:
        """A list arrives."""
        self.world.suppressions.emails = frozenset(suppressed)
        self.world.suppressions.as_of = self.world.clock.now()

    @rule(faults=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=3))
    def trouble(self, faults: list[Scripted]) -> None:
        """The next requests go wrong, and nothing after them."""
        self.world.meisa.answers.clear()
        self.world.meisa.answers.extend(faults)

    @rule()
    def late_ones_arrive(self) -> None:
        """Requests that were given up are carried out after all."""
        self.world.meisa.apply_late()

    @rule(seconds=st.sampled_from((1.0, 60.0, 500.0, 900.0, 1800.0, 3000.0, 3600.0, 90000.0)))
    def wait(self, seconds: float) -> None:
        """Time passes; what was given up long ago was carried out before, or never."""
        if seconds > SETTLES / 2:
            self.world.meisa.apply_late()
        self.world.clock.advance(seconds)

    @rule(off=st.sampled_from((0.0, SET_BACK)))
    def set_clock(self, off: float) -> None:
        """Somebody corrects the machine's clock."""
        assert isinstance(self.world.clock, SteppedClock)
        self.world.clock.off = off

    # ---------------------------------------------------------------- the tool

    @rule(crash=st.none() | st.tuples(st.sampled_from(CRASHES), st.integers(1, 3)))
    def run(self, crash: tuple[str, int] | None) -> None:
        """A run of sync, to its end or until it dies; whatever it holds is approved."""
        left = crash[1] if crash is not None else 0

        def on_step(step: str) -> None:
            nonlocal left
            if crash is not None and step == crash[0]:
                left -= 1
                if left == 0:
                    raise Crash

        state = self.world.state
        state.on_step = on_step
        try:
            ran = self.world.sync()
            for hold in ran.held:
                state.approve(hold.digest, self.world.clock.now())
        except Crash:
            pass
        finally:
            state.on_step = lambda _: None

    @rule(answered=st.integers(0, 3))
    def die_with_requests_under_way(self, answered: int) -> None:
        """Some answers are stored, the others never read."""
        world = self.world
        world.lanes, world.concurrency = lanes, _ = Delayed(), 4
        push = world.push()
        push.step()
        for _ in range(min(answered, len(lanes.waiting))):
            lanes.answer()
        push.step(most=0)
        for work, _ in lanes.waiting:
            work()
        world.lanes, world.concurrency = Inline(), 1

    @rule(status=st.sampled_from((Status.DONE, Status.WAITING)))
    def decide(self, status: Status) -> None:
        """A person settles what was rejected, which certainly did not happen."""
        rejected = [o.key for o in self.world.state.once.values() if o.status is Status.REJECTED]
        parked = {o.key for o in self.world.state.once.values() if o.status is Status.PARKED}
        keys = [key for key in rejected if key not in parked]
        self.world.state.resolve_occurrences(status, keys=keys, mappings=None)
        self.world.state.forgive()

    # ---------------------------------------------------------------- what has to hold

    @invariant()
    def nothing_happens_twice(self) -> None:
        """No event that may be tracked once, and no mail; nobody is enrolled twice."""
        if not hasattr(self, "world"):
            return
        least = {row[0] for row in self.world.rows(LEAST)}
        deeds = self.world.meisa.deeds
        events = Counter(each["properties"]["number"] for each in deeds.events)
        assert {n for n, count in events.items() if count > 1} <= least
        mails = Counter(each["variables"]["number"] for each in deeds.mails)
        assert set(mails.values()) <= {1}
        assert len(set(deeds.enrolled)) == len(deeds.enrolled)

    @invariant()
    def what_is_settled_has_no_body(self) -> None:
        """And what is not has one."""
        if hasattr(self, "world"):
            for each in self.world.state.once.values():
                settled = each.status in (Status.BASELINE, Status.DONE, Status.SKIPPED)
                assert bool(each.body) != settled

    def teardown(self) -> None:
        """After quiet days nothing of what may be repeated is lost, and nothing is undecided."""
        if not hasattr(self, "world"):
            return
        self._quiet()
        state, deeds = self.world.state, self.world.meisa.deeds
        self.nothing_happens_twice()
        for each in state.once.values():
            assert each.status is not Status.SENT
            assert each.status is not Status.WAITING or each.blocked
        tracked = {str(each["properties"]["number"]) for each in deeds.events}
        mailed = {str(each["variables"]["number"]) for each in deeds.mails}
        for each in state.once.values():
            if each.status is Status.DONE and each.code in ("tracked", "sent"):
                assert each.key in (tracked if each.mapping in (ONCE, LEAST) else mailed)
            if each.mapping == LEAST:
                # Rejected is what Meisa, or a person, said; nothing else ends it.
                assert each.status is not Status.PARKED
        seen = {(each.mapping, each.key) for each in state.once.values()}
        for name in (ONCE, LEAST, MAILS):
            assert {(name, str(row[0])) for row in self.world.rows(name)} <= seen
        assert self.world.sync().requests == 0

    def _quiet(self) -> None:
        self.world.meisa.answers.clear()
        self.world.meisa.apply_late()
        self.set_clock(0.0)
        self.sign_up()
        for _ in range(4):
            self.world.clock.advance(1000.0)
            self.list_pulled(suppressed=set())
            self.world.state.forgive()
            self.run(None)
        self.world.sync(limits=Limits(no_wait=True))


TestOccurrences = Occurrences.TestCase
TestOccurrences.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
