"""Planning: comparisons -> the plan's figures and the guard's verdict."""

from collections.abc import Collection, Iterable, Mapping as Dict, Sequence
from dataclasses import dataclass, replace

from meisa_cdc.core.budget import Usage, Window, forecast
from meisa_cdc.core.contact import KEY_COLUMN, field_of
from meisa_cdc.core.diff import Action
from meisa_cdc.core.guard import GuardSettings, Hold, Tally, judge
from meisa_cdc.core.plan import Cost, Forecast, Plan, Summary, Tallies, approved, digest_of
from meisa_cdc.records import Counts, HoldRecord, MappingRecord
from meisa_cdc.sync.captured import Captured
from meisa_cdc.sync.judging import Held, Judge


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """What a plan is judged against."""

    guard: GuardSettings
    windows: Sequence[Window]
    usage: Usage
    counts: Counts
    #: By mapping name, as stored.
    records: Dict[str, MappingRecord]
    #: Holds that are on record.
    recorded: Sequence[HoldRecord] = ()
    #: Fields that some mapping yielded once and none did at the last look.
    unmapped: Collection[str] = ()


def make_plan(judging: Judge, background: Background) -> Plan:
    """Go through every contact that has to be looked at and return the figures."""
    tallies = Tallies({n: r.mapping.digest for n, r in judging.captured.readings.items()})
    for comparison, contact in judging.comparisons():
        tallies.add(
            comparison,
            was_present=contact is not None and contact.present,
            was_invalid=contact is not None and bool(contact.invalid),
        )
    holds = _holds(judging, background, tallies)
    summary = _summary(judging, background.counts, tallies)
    seconds = forecast(background.windows, background.usage, summary.requests, judging.now)
    return Plan(
        digest=digest_of(holds, tallies.digest_of_all()),
        summary=summary,
        cost=Cost(by_field=dict(tallies.by_field), sole=dict(tallies.sole)),
        forecast=Forecast(seconds=seconds, done_at=judging.now + seconds),
        holds=holds,
        invalid_rows=tallies.invalid + sum(judging.captured.unkeyed_count.values()),
        failures=dict(judging.captured.failures),
        unmapped=unmapped_fields(judging, background),
        waiting=tallies.actions[Action.CREATE] if judging.captured.failures else 0,
    )


def unmapped_fields(judging: Judge, background: Background) -> tuple[str, ...]:
    """Return the fields that no mapping yields any more; Meisa and the ledger keep their values."""
    mapped = judging.captured.fields
    return tuple(sorted((set(judging.unmapped) | set(background.unmapped)) - mapped))


def lately_unmapped(captured: Captured, records: Dict[str, MappingRecord]) -> dict[str, list[str]]:
    """Return field -> mappings that yielded it when they were read last, where none does now."""
    mapped = captured.fields
    found: dict[str, list[str]] = {}
    for record in records.values():
        for name in {field_of(c.name) for c in record.columns if c.name != KEY_COLUMN} - mapped:
            found.setdefault(name, []).append(record.name)
    return found


def introduce(
    captured: Captured, records: Dict[str, MappingRecord], unmapped: Collection[str]
) -> None:
    """Mark the fields that no mapping yielded before; where none was ever read, nothing is new."""
    once = fields_once(records.values(), unmapped)
    if not once:
        return
    for name, reading in captured.readings.items():
        fields = frozenset(map(field_of, reading.columns))
        captured.readings[name] = replace(reading, introduced=fields - once)


def _holds(judging: Judge, background: Background, tallies: Tallies) -> tuple[Hold, ...]:
    captured = judging.captured
    created = tallies.actions[Action.CREATE] - tallies.known[Action.CREATE]
    whole = None
    if judging.first_load and captured.identity in captured.complete:
        whole = Hold(
            mapping=captured.identity,
            reason="first_load",
            message=f"the first load would create {created} contacts at Meisa",
            contacts=created,
            digest=tallies.digest_of_all(),
        )
    judged = [
        _tally(name, judging, background, tallies)
        for name in captured.readings
        if name in captured.complete
    ]
    return judge(judged, background.guard, first_load=whole)


def _tally(name: str, judging: Judge, background: Background, tallies: Tallies) -> Tally:
    record = background.records.get(name)
    mapping = judging.captured.readings[name].mapping
    edited = record is None or record.digest != mapping.digest
    # People sign up at any time, but an edit that brings in a crowd would greet all of it.
    came_by_edit = edited and name == judging.captured.identity
    return Tally(
        mapping=name,
        covered=_covered(name, judging, background),
        changed=tallies.changed[name] + (tallies.created[name] if came_by_edit else 0),
        lost=tallies.lost[name],
        rows=judging.captured.rows[name],
        edited=edited,
        columns_before=record.columns if record is not None else (),
        columns_now=judging.captured.columns[name],
        digest=tallies.digest(name),
    )


def _covered(name: str, judging: Judge, background: Background) -> int:
    """Return for how many known contacts a mapping, or its fields' former one, had a row."""
    record = background.records.get(name)
    if record is not None:
        return record.covered
    # A file under a new name takes over the fields of another, and the contacts with them.
    fields = {field_of(column) for column in judging.captured.readings[name].columns}
    once = fields_once(background.records.values(), background.unmapped)
    return background.counts.present if fields & once else 0


def fields_once(records: Iterable[MappingRecord], unmapped: Collection[str]) -> frozenset[str]:
    """Return every field that some mapping yielded once."""
    return frozenset(unmapped) | {
        field_of(column.name)
        for record in records
        for column in record.columns
        if column.name != KEY_COLUMN
    }


def _summary(judging: Judge, counts: Counts, tallies: Tallies) -> Summary:
    actions = tallies.actions
    identity = judging.captured.identity
    unkeyed = judging.captured.unkeyed_count.get(identity, 0)
    present = counts.present - tallies.gone_now + tallies.returned
    counted = sum(tallies.known[a] for a in Action if a is not Action.UNCHANGED)
    # Without identity nobody looks again at those whom it made unusable.
    unseen = counts.invalid - tallies.invalid_before
    return Summary(
        create=actions[Action.CREATE],
        update=actions[Action.UPDATE],
        unchanged=present - counted + tallies.known[Action.REMOVED] - unseen,
        invalid=actions[Action.INVALID] + unkeyed + unseen,
        riding=tallies.riding,
        quarantined=actions[Action.QUARANTINED],
        removed=counts.removed + tallies.gone_now - tallies.returned,
        orphan=judging.captured.orphans,
        requests=tallies.requests,
    )


def scope_of(hold: Hold, judging: Judge) -> frozenset[str]:
    """Return the mappings whose changes a hold stops."""
    everything = frozenset(judging.captured.readings)
    return everything if hold.reason == "first_load" else frozenset({hold.mapping})


def in_force(
    judging: Judge, plan: Plan, background: Background, files: Dict[str, str], approve: str
) -> tuple[Held, ...]:
    """Return the holds that stay in force when somebody approves this digest.

    `files` holds the digest of each mapping's file.
    A hold approved on record is in force too, but lets the changes through that it recorded.
    """
    released = approved(plan.holds, approve)
    by_mapping = {record.mapping: record for record in background.recorded}
    held: list[Held] = []
    for hold in plan.holds:
        if hold.mapping in released:
            continue
        record = by_mapping.get(hold.mapping)
        valid = record is not None and record.approved_at is not None
        valid = valid and record is not None and record.file == files[hold.mapping]
        held.append(
            Held(
                hold=hold,
                scope=scope_of(hold, judging),
                approved=record.digest if valid and record is not None else "",
            )
        )
    return tuple(held)


def with_holds(judging: Judge, held: tuple[Held, ...]) -> Judge:
    """Return a judge under which these holds are in force."""
    return replace(judging, held=held)
