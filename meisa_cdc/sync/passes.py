"""Passes: capture, judge and admit, or stop before anything is stored."""

from collections.abc import Callable, Iterable, Iterator, Mapping as Dict
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from heapq import merge

from meisa_cdc.core.budget import Window, forecast
from meisa_cdc.core.captures import LOG
from meisa_cdc.core.changelog import Bookmark
from meisa_cdc.core.diff import Action, Comparison, Invalid
from meisa_cdc.core.errors import ApprovalMismatch, SourceUnavailable
from meisa_cdc.core.guard import GuardSettings, Hold
from meisa_cdc.core.mapping import EMAILS, ONCE, Mapping, kind_of
from meisa_cdc.core.occurrence import Occurrence, Status
from meisa_cdc.core.plan import Forecast, Plan, change_print, concerned, with_occurrences
from meisa_cdc.ports import Clock, Source, Spool, State
from meisa_cdc.records import HoldRecord
from meisa_cdc.sync import marks
from meisa_cdc.sync.arrivals import ArrivalReader, Arrived, admit
from meisa_cdc.sync.capture import FULL_EVERY, capture
from meisa_cdc.sync.captured import Captured
from meisa_cdc.sync.judging import Held, Judge
from meisa_cdc.sync.planning import (
    Background,
    in_force,
    introduce,
    lately_unmapped,
    make_plan,
    scope_of,
    with_holds,
)

#: Where the fields are noted that no mapping yields any more.
UNMAPPED = "unmapped_fields"
#: Where it is noted how the changes of each mapping were found last, and why.
CAPTURES = "captures"
#: Where it is noted why and when the log of changed rows was dropped last.
DROPPED = "log_dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One pass before anything of it is stored."""

    plan: Plan
    judge: Judge
    background: Background
    #: What is done once.
    arrived: Arrived
    state: State

    @property
    def captured(self) -> Captured:
        """What was read."""
        return self.judge.captured

    def changes(self) -> Iterator[Comparison]:
        """Yield the contacts that a request is needed for, in order of external_id."""
        for comparison, _ in self.judge.comparisons():
            if comparison.action in (Action.CREATE, Action.UPDATE):
                yield comparison

    def invalid(self) -> Iterator[Invalid]:
        """Yield the rows and fields that cannot be used; those without a key come first."""
        yield from self.captured.unkeyed
        yield from self.arrived.unkeyed
        contacts = (each for c, _ in self.judge.comparisons() for each in c.invalid)
        yield from merge(contacts, self.arrived.invalid(), key=lambda each: each.external_id or "")

    def occurrences(self) -> Iterator[Occurrence]:
        """Yield what happens once: what waits already, the oldest first, then what is new."""
        names = sorted(self.arrived.mappings)
        for batch in self.state.occurrences([Status.WAITING], mappings=names):
            yield from batch
        yield from self.arrived.occurrences()

    @property
    def files(self) -> dict[str, str]:
        """The digest of each mapping's file."""
        every = [each.mapping for each in self.captured.readings.values()]
        return {each.name: each.digest for each in (*every, *self.arrived.mappings.values())}


@dataclass(frozen=True, slots=True, kw_only=True)
class Passes:
    """Looks at the app database and, where asked, admits what it saw to the backlog."""

    source: Source
    state: State
    spool: Callable[[], Spool]
    clock: Clock
    guard: GuardSettings
    windows: tuple[Window, ...]
    #: What naive datetimes are read in.
    zone: tzinfo
    #: Whether e-mails are triggered; otherwise their mappings are not even read.
    emails: bool = False
    mappings: Dict[str, Mapping] = field(default_factory=dict)
    #: Seconds after which every row of a mapping is read, whatever its rows add up to.
    full_every: float = FULL_EVERY

    @contextmanager
    def look(self, due: Iterable[str], *, whole: bool) -> Iterator[Look]:
        """Read the due mappings and judge them; the spool lives as long as the block.

        `whole`: also look at contacts that have something pending but were read unchanged, so
        that the plan's figures cover all that would be sent.
        """
        with closing(self.spool()) as spool, closing(self.spool()) as once:
            arrived = Arrived(mappings=self._once(frozenset(due)), spool=once, now=self.clock.now())
            yield self._look(spool, arrived, frozenset(due), whole=whole)

    def _once(self, due: frozenset[str]) -> dict[str, Mapping]:
        """Return the due mappings whose rows are done once."""
        return {
            name: mapping
            for name, mapping in self.mappings.items()
            if name in due and mapping.enabled and mapping.kind in self.kinds
        }

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of mappings whose rows are done once, as far as they are enabled."""
        return tuple(kind for kind in ONCE if self.emails or kind != EMAILS)

    @property
    def not_enabled(self) -> tuple[str, ...]:
        """The mappings that would send e-mails."""
        emails = (name for name, each in self.mappings.items() if each.kind == EMAILS)
        return () if self.emails else tuple(sorted(emails))

    def woken(self) -> frozenset[str]:
        """Return the mappings that may be read as soon as the log tells of a change.

        Who says how often a mapping is to be read has it read no more often.
        """
        captures = self.state.note(CAPTURES) or {}
        unpaced = [n for n, each in self.mappings.items() if each.every is None and not each.cron]
        logged = [
            name
            for name in unpaced
            if self.mappings[name].enabled and captures.get(name, [""])[0] == LOG
        ]
        # Without a bookmark every row is read, which is a matter of the schedule.
        known = marks.stored(self.state, logged)
        return frozenset(n for n, each in known.items() if isinstance(each, Bookmark))

    def _look(self, spool: Spool, arrived: Arrived, due: frozenset[str], *, whole: bool) -> Look:
        remembered = self.state.mappings()
        records = {n: r for n, r in remembered.items() if kind_of(n) not in ONCE}
        captured = capture(
            self.source,
            {name: each for name, each in self.mappings.items() if each.kind not in ONCE},
            due,
            contacts=self.state,
            records=records,
            spool=spool,
            zone=self.zone,
            beside=ArrivalReader(state=self.state, zone=self.zone, arrived=arrived).read,
            now=self.clock.now(),
            full_every=self.full_every,
            marks=marks.stored(self.state, self.mappings),
        )
        arrived.count(remembered)
        # Who is on record, and whether identity has them, only admitting a pass changes.
        counts = self.state.counts()
        unmapped = self.state.note(UNMAPPED) or ()
        introduce(captured, records, unmapped)
        judging = Judge(
            captured=captured,
            contacts=self.state,
            records=self.state,
            spool=spool,
            first_load=not self.state.first_load_done(),
            now=self.clock.now(),
            nobody=counts.contacts == 0,
            unmapped=lately_unmapped(captured, records),
            recorded=frozenset(records),
        )
        judging.addresses().touch_contested()
        if whole:
            for keys in self.state.pending():
                spool.touch(keys)
        background = Background(
            guard=self.guard,
            windows=self.windows,
            usage=self.state.usage(max(window.count for window in self.windows)),
            counts=counts,
            records=records,
            recorded=self.state.holds(),
            unmapped=unmapped,
        )
        plan = self._with_arrivals(make_plan(judging, background), arrived, background)
        return Look(
            plan=plan, judge=judging, background=background, arrived=arrived, state=self.state
        )

    def _with_arrivals(self, plan: Plan, arrived: Arrived, background: Background) -> Plan:
        digests = [each.digest for _, each in sorted(arrived.counts.items()) if each.digest]
        plan = with_occurrences(
            plan,
            arrived.expected(self.state.occurrence_counts()),
            arrived.holds(self.guard),
            digests,
        )
        seconds = forecast(self.windows, background.usage, plan.summary.requests, arrived.now)
        return replace(
            plan,
            forecast=Forecast(seconds=seconds, done_at=arrived.now + seconds),
            failures={**plan.failures, **arrived.failures},
            not_enabled=self.not_enabled,
        )

    def admit(self, look: Look, *, approve: str = "", replace_holds: bool) -> tuple[Held, ...]:
        """Store what the look means, but for what is held; return the holds that held something.

        `approve` releases what it names; raises ApprovalMismatch where it names nothing present,
        and then stores nothing. `replace_holds`: recorded holds make room for the present ones;
        otherwise a recorded one stays until it is approved, void or no longer needed.
        """
        held = in_force(look.judge, look.plan, look.background, look.files, approve)
        if approve and len(held) == len(look.plan.holds) and approve != look.plan.digest:
            raise ApprovalMismatch(
                f"Nothing that is held at present has the digest {approve}.",
                hint="The data or a mapping changed since. Look at the plan again, then approve "
                f"its digest ({look.plan.digest}).",
            )
        once = {each.hold.mapping: each.approved for each in held if _is_once(look, each.hold)}
        contacts = tuple(each for each in held if not _is_once(look, each.hold))
        with self.settling(look):
            unreleased = with_holds(look.judge, contacts).admit()
        released = {name: digest for name, digest in once.items() if digest}
        unreleased |= admit(look.arrived, self.state, held=once, released=released)
        self.record(look, held)
        self._record_holds(look, held, replace_holds=replace_holds)
        return tuple(each for each in held if not each.approved or each.approved in unreleased)

    @contextmanager
    def settling(self, look: Look) -> Iterator[None]:
        """Enclose the storing of what a look means.

        Until all of it is stored, the watermarks on record are the old ones, and the checksums
        tell of rows that may be settled otherwise: whoever dies in between has their buckets
        looked at again.
        """
        captured = look.captured
        dropped = [name for name, places in captured.disturbed.items() if places is None]
        if dropped:
            self.state.drop_checksums(dropped)
        for name, places in captured.disturbed.items():
            if places:
                self.state.unsettle(name, places)
        yield
        for name, taken in captured.taken.items():
            if taken.void:
                self.state.drop_checksums([name])
            elif name in captured.disturbed or self.state.checksums(name) != taken.checksums:
                self.state.record_checksums(name, taken.checksums)
        marks.store(self.state, captured)
        if captured.upto is not None:
            # Where that fails, the log tells the same once more.
            with suppress(SourceUnavailable):
                self.source.acknowledge(captured.upto)
        if any(each.kind == LOG for each in captured.captures.values()) and self.state.note(
            DROPPED
        ):
            # There is one again.
            self.state.set_note(DROPPED, None)
        # It is looked at again after the next pass, and by the daemon.
        with suppress(SourceUnavailable):
            self.protect()

    def protect(self) -> str | None:
        """Have the source drop a log that keeps too much; return and remember why, if it did.

        Raises SourceUnavailable.
        """
        reason = self.source.protect()
        if reason is not None:
            self.state.set_note(DROPPED, {"reason": reason, "at": self.clock.now()})
        return reason

    def record(self, look: Look, held: tuple[Held, ...] = (), *, everybody: bool = False) -> None:
        """Remember what was read and not held: columns, files, that there was a first load.

        `everybody`: every contact was stored, also those that would have had to wait.
        """
        judging, captured = look.judge, look.captured
        waiting = frozenset().union(*(each.scope for each in held if not each.approved))
        stored = sorted(captured.complete - waiting)
        if any(_edited(look, name) for name in stored):
            # Whatever was rejected before may have been the old file's fault.
            self.state.forgive()
        for name in stored:
            reading = captured.readings[name]
            self.state.record_read(
                name, reading.mapping.digest, captured.columns[name], judging.now
            )
        for name in sorted(look.arrived.complete - waiting):
            mapping = look.arrived.mappings[name]
            self.state.record_read(
                name, mapping.digest, look.arrived.columns[name], look.arrived.now
            )
        captures = {
            name: [each.kind, each.why]
            for name, each in captured.captures.items()
            if name not in captured.failures
        }
        if captures != self.state.note(CAPTURES):
            self.state.set_note(CAPTURES, captures)
        if list(look.plan.unmapped) != list(look.background.unmapped):
            self.state.set_note(UNMAPPED, list(look.plan.unmapped))
        # What an approval let through of a first load is not all of it; the rest is one still.
        first = judging.first_load and not any(captured.identity in each.scope for each in held)
        anybody = captured.rows.get(captured.identity, 0) > 0
        if first and anybody and (everybody or not captured.failures):
            self.state.record_first_load(judging.now)

    def _record_holds(self, look: Look, held: tuple[Held, ...], *, replace_holds: bool) -> None:
        recorded = {record.mapping: record for record in look.background.recorded}
        current = {each.hold.mapping for each in held}
        # What was approved has now been let through; what is left of it is judged anew.
        spent = {each.hold.mapping for each in held if each.approved}
        read = look.captured.complete | look.arrived.complete | current
        self.state.drop_holds(sorted((set(recorded) & read - current) | spent))
        for each in held:
            if each.hold.mapping in spent:
                continue
            record = recorded.get(each.hold.mapping)
            file = look.files[each.hold.mapping]
            if record is None or record.file != file or replace_holds:
                self.state.record_hold(
                    _record_of(each.hold, file, look.judge.now), _prints(look, each.hold)
                )


def _edited(look: Look, name: str) -> bool:
    record = look.background.records.get(name)
    return record is not None and record.digest != look.captured.readings[name].mapping.digest


def _is_once(look: Look, hold: Hold) -> bool:
    """Tell whether a hold is of occurrences, not of contacts."""
    return hold.mapping in look.arrived.mappings


def _record_of(hold: Hold, file: str, now: float) -> HoldRecord:
    return HoldRecord(
        digest=hold.digest,
        mapping=hold.mapping,
        reason=hold.reason,
        message=hold.message,
        contacts=hold.contacts,
        file=file,
        recorded_at=now,
    )


def _prints(look: Look, hold: Hold) -> Iterator[tuple[str, bytes]]:
    if _is_once(look, hold):
        for each in look.arrived.occurrences():
            if each.mapping == hold.mapping:
                yield each.key, each.fingerprint
        return
    scope = scope_of(hold, look.judge)
    for comparison, _ in look.judge.comparisons():
        if concerned(comparison, scope):
            yield comparison.external_id, change_print(comparison, scope)
