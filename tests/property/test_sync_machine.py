"""Rows change, mappings change, Meisa fails, the process dies, the clock jumps: sync converges."""

from collections import defaultdict
from collections.abc import Callable, Mapping as Dict
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import initialize, invariant, rule

from meisa_cdc.core.breaker import PROBE_REFUSED, PROBE_TROUBLED, REJECTIONS, UNAVAILABLE, Breaker
from meisa_cdc.core.contact import EMAIL, SOURCE, Contact
from meisa_cdc.core.delivery import SETTLES
from meisa_cdc.core.errors import RetryLater
from meisa_cdc.core.guard import GuardSettings
from meisa_cdc.core.keys import canonical_key
from meisa_cdc.core.mapping import FieldSettings, Priority
from meisa_cdc.core.outcome import Answer
from meisa_cdc.core.policy import Policy
from meisa_cdc.core.values import email_key, same
from meisa_cdc.records import DeliveryRecord
from meisa_cdc.sync.once import Limits
from meisa_cdc.sync.overrides import resync
from meisa_cdc.testing import HandClock, ScriptedMeisa
from meisa_cdc.testing.meisa import Scripted
from tests.property.changing_app import KEYS, UNUSABLE, ChangingApp, sometimes
from tests.unit.sync.comparing import counted, found
from tests.unit.sync.worlds import IDENTITY, PLAN, USAGE, Delayed, Inline, Row, World, windows

CRASHES = (
    "grant.before",
    "grant.after",
    "complete.before",
    "complete.after",
    "settle.before",
    "settle.after",
    "record_read.before",
    "record_first_load.before",
    "record_hold.before",
    "drop_checksums.after",
    "unsettle.after",
    "record_checksums.before",
)
FAULTS: tuple[Scripted, ...] = (
    "timeout_applied",
    "timeout_lost",
    "late",
    "reset",
    "not_sent",
    400,
    401,
    409,
    422,
    500,
    503,
    408,
    Answer(status=429, retry_after=7.0),
    Answer(status=503, retry_after=3.0),
    Answer(status=200, body="<html>"),
    Answer(status=200, body={"id": "x", "external_id": "someone", "email": "e@example.com"}),
)
REFUSALS = {400, 401, 409, 422}
#: Enough of a kind in a row to halt deliveries.
STORMS: tuple[list[Scripted], ...] = (
    [500] * 12,
    [401] * 3,
    ["late", "late"],
    ["late", 503, "late"],
)
EVERY = (IDENTITY, PLAN, USAGE)
THRESHOLDS = (10, 100)
RIDING = Policy(send="with_others", at_least_every=3600.0)
SETTINGS = {
    PLAN: {"plan": FieldSettings(priority=Priority.URGENT)},
    USAGE: {
        "last_active": FieldSettings(policy=RIDING, priority=Priority.BACKGROUND),
        "posts": FieldSettings(policy=Policy(thresholds=THRESHOLDS)),
    },
}


class Crash(Exception):
    """The process is gone."""


class SteppedClock(HandClock):
    """The machine's clock: real time, and how far somebody has set it off."""

    def __init__(self, real: HandClock) -> None:
        super().__init__()
        self.real = real
        self.off = 0.0

    def now(self) -> float:
        """Return what the machine believes."""
        return self.real.now() + self.off

    def advance(self, seconds: float) -> None:
        """Let real time pass."""
        self.real.advance(seconds)


class WatchedMeisa(ScriptedMeisa):
    """A Meisa that keeps an eye on what reaches it."""

    def __init__(self, clock: HandClock) -> None:
        super().__init__(clock)
        #: Contacts as they were when their request was granted.
        self.granted: dict[str, Contact] = {}
        #: Whether a contact's last request was certainly taken, certainly not, or neither.
        self.fate: dict[str, str] = {}
        #: Real times at which the requests in `late` were given up.
        self.given_up: list[float] = []

    def upsert(self, body: Dict[str, Any]) -> Answer:
        """Check the body, then answer as the script says."""
        key = body["external_id"]
        _check_body(body, self.granted[key])
        now = self._clock.now()
        # Later than this nothing is carried out any more: then it was just before.
        self.come_in(lambda _, given_up: given_up + SETTLES <= now)
        answer = super().upsert(body)
        self.given_up += [now] * (len(self.late) - len(self.given_up))
        told = isinstance(answer.body, dict) and answer.body.get("external_id") == key
        if answer.status in {200, 201} and told:
            self.fate[key] = "taken"
        elif not answer.sent or answer.status in REFUSALS:
            self.fate[key] = "refused"
        else:
            self.fate[key] = "unknown"
        return answer

    def come_in(self, due: Callable[[Dict[str, Any], float], bool]) -> None:
        """Let the requests take effect that were given up and are due."""
        waiting = list(zip(self.late, self.given_up, strict=True))
        self.late[:] = [body for body, at in waiting if not due(body, at)]
        self.given_up[:] = [at for body, at in waiting if not due(body, at)]
        for body, at in waiting:
            if due(body, at):
                self._apply(body)


def _check_body(body: Dict[str, Any], before: Contact) -> None:
    """See to it that a request carries what names the contact, and differences alone."""
    fields = {name: value for name, value in body.items() if name != "custom_fields"}
    fields |= {f"custom_fields.{n}": v for n, v in body.get("custom_fields", {}).items()}
    del fields["external_id"]
    assert fields.pop(EMAIL) == before.email
    if not before.ledger:
        fields.pop(SOURCE)
    for name, value in fields.items():
        assert same(value, {**before.riding, **before.pending}[name])
        held = before.ledger.get(name)
        uncertain = name in before.in_doubt or name in before.inherits
        assert uncertain or not same(value, held), f"{name} is there already"


class SyncMachine(ChangingApp):
    """One process after another synchronises one database with one Meisa."""

    @initialize(
        delayed=st.booleans(),
        people=st.integers(1, 4),
        settled=st.booleans(),
        engine=st.sampled_from((None, "sums", "sums")),
    )
    def begin(self, delayed: bool, people: int, settled: bool, engine: str | None) -> None:
        """Start with some people, and either immediate or delayed answers."""
        self.real = HandClock()
        self.clock = SteppedClock(self.real)
        self.delayed = Delayed()
        self.world = World(
            clock=self.clock,
            guard=GuardSettings(min_contacts=3, max_change=0.5, max_missing=0.5),
            windows=windows("12/10s,40/100s"),
        )
        self.meisa = self.world.meisa = WatchedMeisa(self.real)
        self.world.source.engine = engine
        self.world.people(*KEYS[:people])
        plans, usage = [("1", "free", "month")], [("1", "mon", 9), ("2", "tue", 10)]
        self.world.table(PLAN, "external_id plan cycle", plans, fields=SETTINGS[PLAN])
        self.world.table(USAGE, "external_id last_active posts", usage, fields=SETTINGS[USAGE])
        self.world.state.on_step = self.on_step
        self.crash_at = ""
        #: Real times at which the clock was set.
        self.jumps: list[float] = []
        #: Fields that were sent without anybody knowing whether Meisa took them, by contact.
        self.doubt: dict[str, set[str]] = defaultdict(set)
        #: Addresses that were sent like that, by contact.
        self.addresses: dict[str, list[str]] = defaultdict(list)
        #: Grant and fields of what this process has under way, by contact.
        self.open: dict[str, tuple[int, set[str]]] = {}
        #: The newest grant that was looked at.
        self.newest = 0
        self.before: dict[str, Contact] = {}
        self.breaker = Breaker()
        #: Somebody waits for what is delivered.
        self.impatient = True
        if settled:
            self.run()
        if delayed:
            self.world.lanes, self.world.concurrency = self.delayed, 2
        self.push = self.world.push()

    # ---------------------------------------------------------------- what the state commits

    def on_step(self, step: str) -> None:
        """Follow every commit, and die where it was asked for."""
        if step == "grant.before":
            self.before = self.world.state.load(KEYS)
            self.breaker = self.world.state.usage(0).breaker
        if step == "grant.after":
            self.granted()
        if step == "complete.after":
            self.completed()
        if step == self.crash_at:
            self.crash_at = ""
            raise Crash

    def granted(self) -> None:
        """Check that the contacts whose requests were granted may be sent now."""
        fresh = [each for each in self.world.state.deliveries(most=20) if each.id > self.newest]
        if fresh:
            self.check_halt()
        for record in reversed(fresh):
            self.newest = record.id
            self.starts(record)

    def starts(self, record: DeliveryRecord) -> None:
        """Check that this contact may be sent now."""
        contact = self.before[record.external_id]
        assert contact.present
        assert not contact.invalid
        assert contact.quarantine is None
        assert contact.external_id not in self.open, "two requests in flight for a contact"
        self.meisa.granted[contact.external_id] = contact
        self.open[contact.external_id] = (record.id, set(record.fields))
        self.addresses[contact.external_id].append(email_key(contact.email))

    def check_halt(self) -> None:
        """See to it that nothing is sent while deliveries are halted, but for probes."""
        halted, probe = self.breaker.halted, self.breaker.next_probe
        assert halted != REJECTIONS
        if halted and not self.impatient:
            assert probe is not None
            left = probe - self.clock.now()
            # Further ahead than it can be: the clock was set back.
            longest = PROBE_TROUBLED if halted == UNAVAILABLE else PROBE_REFUSED
            assert left <= 0 or left > longest

    def completed(self) -> None:
        """Note what is certain now, and what is not."""
        every = self.world.state.deliveries()
        done = {record.id for record in every if record.done_at is not None}
        for key in [key for key, (number, _) in self.open.items() if number in done]:
            (_, fields), fate = self.open.pop(key), self.meisa.fate[key]
            if fate == "taken":
                self.doubt[key] -= fields
                if all(body["external_id"] != key for body in self.meisa.late):
                    self.addresses[key].clear()
            elif fate == "refused":
                self.addresses[key].pop()
            else:
                self.doubt[key] |= fields

    def die(self) -> None:
        """Lose everything but the state; what was under way is doubtful."""
        # What a crash cut off is sent again, and never confirmed.
        self.meisa.come_in(lambda body, _: body["external_id"] in self.open)
        for key, (_, fields) in self.open.items():
            self.doubt[key] |= fields
        self.open.clear()
        self.delayed.waiting.clear()
        self.push = self.world.push()

    # ---------------------------------------------------------------- the process

    @rule(
        due=st.sampled_from((EVERY, EVERY, (IDENTITY, USAGE), (IDENTITY,), (PLAN,))),
        whole=st.booleans(),
        replace_holds=st.booleans(),
        trouble=sometimes(("down", IDENTITY, PLAN, "refused")),
        crash=sometimes(CRASHES),
    )
    def capture(
        self, due: tuple[str, ...], whole: bool, replace_holds: bool, trouble: str, crash: str
    ) -> None:
        """Look at the database, and admit what was seen."""
        if self.handed_over_too_soon():
            return
        source = self.world.source
        source.down = trouble == "down"
        source.failing = {trouble} & {IDENTITY, PLAN}
        source.refused = {PLAN} if trouble == "refused" else set()
        self.crash_at = crash
        try:
            with self.world.look(due, whole=whole) as look:
                self.world.passes().admit(look, replace_holds=replace_holds)
        except RetryLater:
            assert trouble == "down"
        except Crash:
            self.die()
        self.crash_at = ""

    @rule(due=st.sampled_from(((IDENTITY, PLAN), (IDENTITY, PLAN), (IDENTITY,), (PLAN,))))
    def compare_captures(self, due: tuple[str, ...]) -> None:
        """Look in both ways: what the database adds up hides nothing that a scan finds."""
        source = self.world.source
        source.down, source.failing, source.refused = False, set(), set()
        with self.world.look(due) as look:
            sums = found(look), counted(look), look.plan.digest
        engine, source.engine = source.engine, None
        with self.world.look(due) as look:
            assert sums == (found(look), counted(look), look.plan.digest)
        source.engine = engine

    @rule(
        fate=st.lists(sometimes(FAULTS, otherwise="accept"), max_size=3) | st.sampled_from(STORMS),
        steps=st.integers(1, 6),
        seconds=st.sampled_from((0.1, 1.0, 5.0, 40.0, 900.0)),
        crash=sometimes(CRASHES),
        impatient=st.booleans(),
    )
    def deliver(
        self, fate: list[Scripted], steps: int, seconds: float, crash: str, impatient: bool
    ) -> None:
        """Start requests and collect answers, which come at once or later; time passes."""
        self.meisa.answers.extend(fate)
        self.crash_at = crash
        self.push.at_once = self.impatient = impatient
        try:
            for _ in range(steps):
                self.push.step()
                self.real.advance(seconds)
                if len(self.delayed.waiting) > steps % 2:
                    self.delayed.answer(steps % len(self.delayed.waiting))
        except Crash:
            self.die()
        self.crash_at = ""
        self.meisa.answers.clear()

    @rule(fate=st.lists(sometimes(FAULTS, otherwise="accept"), max_size=3))
    def sync(self, fate: list[Scripted]) -> None:
        """Look and deliver, undisturbed but for Meisa."""
        self.capture(EVERY, whole=False, replace_holds=False, trouble="", crash="")
        self.deliver(fate, steps=5, seconds=5.0, crash="", impatient=True)

    @rule(place=st.integers(0, 3), later=st.booleans())
    def overtake(self, place: int, later: bool) -> None:
        """A request is given up, newer values overtake it, and only then it takes effect."""
        self.change_plans({KEYS[place]: ("free", "month")})
        self.sync(["late"])
        self.change_plans({KEYS[place]: ("max", "year")})
        self.sync([])
        if later:
            self.meisa.come_in(lambda *_: True)

    @rule(place=st.integers(0, 3), other=st.integers(0, 3), gone=st.booleans())
    def hand_over(self, place: int, other: int, gone: bool) -> None:
        """Somebody takes the address of one who leaves it, or is gone."""
        self.sync([])
        rows = self.world.rows(IDENTITY)
        if rows and not gone:
            leaver, email, _ = rows[place % len(rows)]
            self.move(place, "new")
            rows[:] = [r for r in rows if canonical_key(r[0]) != KEYS[other] or r[0] == leaver]
            rows.append((KEYS[other], email, "Heir"))
        else:
            self.succeed(place, other)
        self.sync([])

    @rule()
    def be_rejected(self) -> None:
        """Whatever is tried, Meisa refuses; until deliveries are halted, if there are any."""
        for _ in range(12):
            self.world.state.release()
            self.deliver([422] * 4, steps=4, seconds=5.0, crash="", impatient=False)

    @rule(doing=st.sampled_from(("approve", "retry", "forgive", "restart", "resync", "late")))
    def operate(self, doing: str) -> None:
        """Somebody approves a hold, retries the quarantined, kills the process, sends anew."""
        state = self.world.state
        if doing == "approve" and state.holds():
            state.approve(state.holds()[0].digest, self.clock.now())
        if doing == "retry":
            state.release()
        if doing in {"retry", "forgive"}:
            state.forgive()
        if doing in {"restart", "resync"}:
            self.die()
        if doing == "resync":
            resync(state, self.clock)
        if doing == "late":
            self.meisa.come_in(lambda *_: True)

    @rule(seconds=st.sampled_from((-3600.0, -5.0, 7200.0)))
    def set_clock(self, seconds: float) -> None:
        """Somebody sets the machine's clock, by which ten minutes can be no time at all."""
        self.meisa.come_in(lambda *_: True)
        self.clock.off += seconds
        self.jumps.append(self.real.now())

    def handed_over_too_soon(self) -> list[Row]:
        """Return the rows whose address Meisa may hold for somebody else without our knowing.

        Meisa would make one contact of the two. No ledger can tell, so that an address changes
        hands before the outcome of a request with it is known is left out here.
        """
        return [
            row
            for row in self.world.rows(IDENTITY)
            if any(
                email_key(row[1] or "") in sent and key != canonical_key(row[0])
                for key, sent in self.addresses.items()
            )
        ]

    # ---------------------------------------------------------------- what always holds

    @invariant()
    def no_window_is_exceeded(self) -> None:
        """Whatever the server's alignment; setting the clock may bring a burst forward."""
        times = [request.at for request in self.meisa.requests]
        for window in self.world.windows:
            for first, start in enumerate(times):
                within = [at for at in times[first:] if at < start + window.period]
                steps = sum(start <= jump <= within[-1] for jump in self.jumps)
                assert len(within) <= window.count + steps * window.burst

    @invariant()
    def what_is_ambiguous_is_in_doubt(self) -> None:
        """Until Meisa takes a newer request with the field."""
        contacts = self.world.state.load(KEYS)
        for key, fields in self.doubt.items():
            assert not fields or fields <= contacts[key].in_doubt

    # ---------------------------------------------------------------- what holds in the end

    def teardown(self) -> None:
        """Once everything works, Meisa equals the source, and then there is silence."""
        if not hasattr(self, "world"):
            return
        self.end_faults()
        self.settle_down()
        self.check_meisa(quarantined=True)
        self.world.state.release()
        self.world.state.forgive()
        self.set_columns(["external_id", "plan", "cycle"])
        self.world.mappings[PLAN] = replace(self.world.mappings[PLAN], enabled=True)
        self.settle_down()
        self.check_meisa(quarantined=False)

    def end_faults(self) -> None:
        """Let everything work from now on, and resolve what is in doubt."""
        self.meisa.come_in(lambda *_: True)
        self.world.state.forgive()
        self.impatient = True
        self.world.source.failing, self.world.source.refused = set(), set()
        self.world.source.down = False
        while self.delayed.waiting or self.push.deliveries.flights:
            self.delayed.answer_all()
            self.push.step(most=0)
        self.real.advance(4 * 3600.0)
        self.world.lanes, self.world.concurrency = Inline(), 1
        push = self.world.push()
        while (wait := push.step()) is not None:
            push.rest(wait)
        too_soon = self.handed_over_too_soon()
        rows = self.world.rows(IDENTITY)
        rows[:] = [row for row in rows if row not in too_soon]

    def settle_down(self) -> None:
        """Run until nothing is sent, nor due later; then a further run sends nothing."""
        for hours in (0.0, 5.0):
            self.real.advance(hours * 3600.0)
            for _ in range(8):
                if not self.run():
                    break
            else:
                raise AssertionError("it never becomes quiet")
        assert self.run() == 0
        assert self.world.plan().summary.requests == 0

    def run(self) -> int:
        """Do one whole run, with everything approved; return its requests."""
        plan = self.world.plan()
        ran = self.world.sync(approve=plan.digest if plan.holds else "", limits=Limits())
        self.no_window_is_exceeded()
        self.what_is_ambiguous_is_in_doubt()
        assert not ran.failures
        return ran.requests

    def check_meisa(self, *, quarantined: bool) -> None:
        """Compare Meisa with the source; `quarantined`: contacts may be."""
        people: dict[str, list[Row]] = defaultdict(list)
        wanted: dict[str, set[str]] = defaultdict(set)
        for row in self.world.rows(IDENTITY):
            key = canonical_key(row[0])
            people[key].append(row)
            wanted[email_key(row[1] or "")].add(key)
        for key, rows in people.items():
            contact = self.world.state.load([key]).get(key)
            if len(rows) > 1 or rows[0][1] in UNUSABLE:
                assert contact is None or contact.invalid
            elif contact is not None and contact.quarantine is not None:
                assert quarantined or self.is_occupied(key, email_key(rows[0][1]))
            elif not self.is_contested(key, wanted[email_key(rows[0][1])], contact):
                self.check_contact(key, *rows[0][1:])

    def is_occupied(self, key: str, address: str) -> bool:
        """Tell whether Meisa has somebody else under the address, whom it does not merge."""
        return any(
            email_key(held.email) == address and held.external_id != key
            for held in self.meisa.contacts.values()
        )

    def is_contested(self, key: str, wanting: set[str], contact: Contact | None) -> bool:
        """Tell whether somebody else keeps a contact from the address it wants."""
        address = next(
            email_key(row[1]) for row in self.world.rows(IDENTITY) if canonical_key(row[0]) == key
        )
        owners = {
            held.external_id
            for held in self.meisa.contacts.values()
            if email_key(held.email) == address
        }
        refused = contact is None or bool(contact.invalid)
        return refused and key not in owners and bool((wanting | owners) - {key})

    def check_contact(self, key: str, email: str, name: str | None) -> None:
        """Compare one contact."""
        held = self.world.held_at_meisa(key)
        assert held is not None
        assert held[EMAIL] == email.strip()
        if name is not None:
            assert held["first_name"] == name
        self.check_usage(key, held)
        table = self.world.source.tables[PLAN]
        if self.world.mappings[PLAN].enabled:
            plans = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
            plan = next((each for each in plans if each["external_id"] == key), {})
            for column in set(table.columns) - {"external_id"}:
                assert held.get(f"custom_fields.{column}") == plan.get(column)

    def check_usage(self, key: str, held: Dict[str, Any]) -> None:
        """Compare what only rides along, and what counts in steps alone."""
        rows = {key: (active, posts) for key, active, posts in self.world.rows(USAGE)}
        active, posts = rows.get(key, (None, None))
        assert held.get("custom_fields.last_active") == active
        there = held.get("custom_fields.posts")
        if posts is None or there is None:
            assert there == posts
        else:
            assert [there >= each for each in THRESHOLDS] == [posts >= each for each in THRESHOLDS]


TestSync = SyncMachine.TestCase
TestSync.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    derandomize=True,
    print_blob=True,
    # A machine that is busy with other things is slow now and then.
    suppress_health_check=[HealthCheck.too_slow],
)
