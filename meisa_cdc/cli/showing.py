"""How plans, holds and times look as text."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from meisa_cdc.core.arrivals import told
from meisa_cdc.core.contact import EMAIL
from meisa_cdc.core.diff import Comparison, Invalid
from meisa_cdc.core.durations import iso, spoken
from meisa_cdc.core.guard import Hold
from meisa_cdc.core.mapping import Priority
from meisa_cdc.core.occurrence import Occurrence
from meisa_cdc.core.plan import Plan, fires

SIGNS = {"create": "+", "update": "~"}
MOST_SHOWN = 60
MOST_FIELDS = 8


def value_told(value: Any) -> str:
    """Return a canonical value as JSON, shortened for a line."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…"


def priority_of(comparison: Comparison) -> str:
    """Return the name of the class a change would be delivered in."""
    rank = comparison.contact.rank if comparison.contact is not None else None
    return Priority(Priority.BACKGROUND if rank is None else rank).name.lower()


def change_lines(comparison: Comparison) -> Iterator[str]:
    """Yield a contact's change: a headline, then a line a field, old → new."""
    sign = SIGNS.get(str(comparison.action), " ")
    triggers = ", ".join(fires(comparison)) or "nothing"
    yield (
        f"  {sign} {comparison.external_id}  {comparison.action}, "
        f"{priority_of(comparison)}; fires {triggers}"
    )
    every = (*comparison.changes, *comparison.riding)
    width = max((len(change.field) for change in every), default=0)
    for change in every:
        old, new = value_told(change.old), value_told(change.new)
        if str(comparison.action) == "create":
            shown = new
        else:
            shown = f"{old} → {new}" if old != new else f"{new} (in doubt, sent again)"
        yield f"      {change.field:<{width}}  {shown}{'' if change.causes else ' (rides along)'}"


def occurrence_line(occurrence: Occurrence, *, held: bool) -> str:
    """Return one line on what happens once: whom it is about, what it does, with what."""
    details = {
        name: part
        for name, part in occurrence.body.items()
        if name in ("properties", "variables", "recipient")
    }
    shown = f"  {value_told(details)}" if details else ""
    marks = [mark for mark, is_so in (("held", held), (occurrence.blocked, True)) if is_so and mark]
    suffix = f" ({', '.join(marks)})" if marks else ""
    return (
        f"  * {occurrence.mapping} {occurrence.key}  {told(occurrence)} for {occurrence.who}"
        f"{shown}{suffix}"
    )


def arrival_lines(plan: Plan) -> Iterator[str]:
    """Yield what there is to do once, a line a mapping."""
    for each in plan.occurrences:
        parts = [
            f"{count} {word}"
            for count, word in (
                (each.new, "new"),
                (each.baseline, "taken as done, since it is the first run"),
                (each.waiting, "waiting"),
                (each.invalid, "invalid"),
            )
            if count
        ]
        if parts:
            requests = "1 request" if each.requests == 1 else f"{each.requests} requests"
            yield f"{each.mapping}: {', '.join(parts)}; {requests}."
    if plan.not_enabled:
        yield f"Not enabled (emails.enabled): {', '.join(plan.not_enabled)}."


def invalid_line(invalid: Invalid) -> str:
    """Return one line on a row or field that cannot be used."""
    who = invalid.external_id if invalid.external_id is not None else "(no key)"
    field = f" {invalid.field}" if invalid.field else ""
    return f"  ! {who}  {invalid.mapping}{field}: {invalid.code}, {invalid.message}"


def summary_lines(plan: Plan) -> Iterator[str]:
    """Yield the figures of a plan: what is counted, what it costs, when it is done."""
    s = plan.summary
    parts = [f"{s.create} to create", f"{s.update} to update", f"{s.unchanged} unchanged"]
    for count, word in (
        (s.riding, "riding along"),
        (s.invalid, "invalid"),
        (s.quarantined, "in quarantine"),
        (s.removed, "removed from the app"),
        (s.orphan, "rows without a contact"),
    ):
        if count:
            parts.append(f"{count} {word}")
    yield "Contacts: " + ", ".join(parts) + "."
    yield from _cost_lines(plan)
    yield from arrival_lines(plan)
    if plan.unmapped:
        yield f"No longer mapped, Meisa keeps their values: {', '.join(plan.unmapped)}."


def _cost_lines(plan: Plan) -> Iterator[str]:
    s = plan.summary
    if s.requests:
        yield (
            f"Cost: {s.requests} requests, {spoken(plan.forecast.seconds)}, "
            f"done by {iso(plan.forecast.done_at)}."
        )
        yield by_field_line(plan.cost.by_field, plan.cost.sole)
    else:
        yield "Nothing has to be sent."


def by_field_line(by_field: Mapping[str, int], sole: Mapping[str, int]) -> str:
    """Return how many requests each field is a cause of, and those it alone is the cause of."""
    fields = sorted(by_field.items(), key=lambda each: (-each[1], each[0]))
    more = f" and {len(fields) - MOST_FIELDS} more" if len(fields) > MOST_FIELDS else ""
    told = ", ".join(
        f"{name} {count}"
        + (
            f" (send='with_others' would save {sole[name]})"
            if sole.get(name) and name != EMAIL
            else ""
        )
        for name, count in fields[:MOST_FIELDS]
    )
    return f"By field: {told}{more}."


def hold_lines(holds: tuple[Hold, ...], digest: str) -> Iterator[str]:
    """Yield why something is held, and the command that lets it go."""
    for hold in holds:
        yield f"HELD {hold.mapping} ({hold.reason}): {hold.message}."
        if len(holds) > 1:
            yield f"  this hold alone: meisa-cdc sync --approve {hold.digest}"
    if holds:
        yield f"If that is what you want: meisa-cdc sync --approve {digest}"
    if any(hold.reason == "first_load" for hold in holds):
        yield "If Meisa holds these contacts already: meisa-cdc baseline"


def failure_lines(failures: dict[str, str], waiting: int = 0) -> Iterator[str]:
    """Yield what could not be read, and how many contacts are not created because of it."""
    for message in failures.values():
        yield f"FAILED {message}"
    if waiting:
        yield f"New contacts arrive whole: {waiting} wait until every mapping can be read."
