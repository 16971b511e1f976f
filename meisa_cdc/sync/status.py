"""One document that says what waits, how long, and why."""

from collections.abc import Mapping as Dict, Sequence
from typing import Any

from meisa_cdc.core.arrivals import requests
from meisa_cdc.core.breaker import Breaker
from meisa_cdc.core.budget import Usage, Window, forecast, left, period_of
from meisa_cdc.core.checksums import Checksums
from meisa_cdc.core.durations import iso, spoken
from meisa_cdc.core.mapping import Priority, kind_of
from meisa_cdc.core.occurrence import Status
from meisa_cdc.core.sharing import Throttle, seen, share, suggested_reserve
from meisa_cdc.ports import State
from meisa_cdc.records import Counts, HoldRecord, MappingRecord, OccurrenceCount, RunRecord
from meisa_cdc.sync.once import halted_because
from meisa_cdc.sync.passes import CAPTURES, DROPPED


def status(
    state: State,
    windows: Sequence[Window],
    *,
    now: float,
    runs: int = 5,
    captures: Dict[str, tuple[str, str]] | None = None,
) -> dict[str, Any]:
    """Return the status document; times are epoch seconds, shown as ISO by who prints them.

    `captures`: how the changes of each mapping are found, and why, as far as that is known
    without a pass; what the last pass noted goes first.
    """
    found = {**(captures or {}), **(state.note(CAPTURES) or {})}
    counts, cost = state.counts(), state.cost()
    usage = state.usage(max(window.count for window in windows))
    waiting = sum(counts.backlog.values())
    once = state.occurrence_counts()
    ahead = waiting + sum(
        requests(kind_of(each.mapping), each.count)
        for each in once
        if each.status is Status.WAITING and not each.blocked
    )
    seconds = forecast(windows, usage, ahead, now)
    return {
        "contacts": _contacts(counts),
        "backlog": _backlog(counts, now),
        "budget": [_window(window, usage, now) for window in windows],
        "sharing": _sharing(windows, usage.throttle, now),
        "halt": _halt(usage.breaker),
        "paused_until": usage.paused_until if usage.paused_until > now else None,
        "forecast": {"requests": ahead, "seconds": seconds, "done_at": now + seconds},
        "cost": {"by_field": dict(cost.by_field), "sole": dict(cost.sole)},
        "occurrences": [_occurrences(each) for each in once],
        "mappings": [
            _mapping(record, found.get(record.name), state.checksums(record.name))
            for record in state.mappings().values()
        ],
        "log_dropped": state.note(DROPPED),
        "holds": [_hold(record) for record in state.holds()],
        "unmapped": state.note("unmapped_fields") or [],
        "meisa": state.belongs_to(),
        "suppressions": state.note("suppressions"),
        "runs": [run_document(run) for run in state.runs(runs)],
        "as_of": now,
    }


def _contacts(counts: Counts) -> dict[str, int]:
    return {
        "present": counts.present,
        "removed": counts.removed,
        "invalid": counts.invalid,
        "quarantined": counts.quarantined,
        "in_doubt": counts.in_doubt,
    }


def _backlog(counts: Counts, now: float) -> dict[str, Any]:
    return {
        "total": sum(counts.backlog.values()),
        **{p.name.lower(): counts.backlog.get(int(p), 0) for p in Priority},
        "oldest": counts.oldest,
        "oldest_seconds": None if counts.oldest is None else max(0.0, now - counts.oldest),
    }


def outlook(state: State, windows: Sequence[Window], *, now: float) -> str:
    """Return in a few words how long the backlog takes under the windows as they are now."""
    usage = state.usage(max(window.count for window in windows), now - period_of(windows))
    waiting = sum(state.counts().backlog.values())
    seconds = forecast(windows, usage, waiting, now)
    return f"{spoken(seconds)} left, done by {iso(now + seconds)}" if waiting else ""


def _window(window: Window, usage: Usage, now: float) -> dict[str, Any]:
    return {
        "count": window.count,
        "period_seconds": window.period,
        "left": left(window, usage, now),
    }


def _sharing(windows: Sequence[Window], throttle: Throttle, now: float) -> dict[str, Any] | None:
    """Return what is known of others who use the key; None where nobody was lately seen to."""
    part = share(throttle, now)
    if not seen(throttle, now):
        return None if part >= 1.0 else {"share": part, "others": None, "reserve": None}
    reserve = max(1.0 - window.count / (window.limit or window.count) for window in windows)
    return {
        "share": part,
        "others": throttle.others,
        "reserve": suggested_reserve(throttle, reserve),
    }


def _halt(breaker: Breaker) -> dict[str, Any] | None:
    """Return why nothing is delivered at present; None while deliveries go on."""
    if not breaker.halted:
        return None
    return {
        "reason": breaker.halted,
        "message": halted_because(breaker),
        "since": breaker.since,
        "next_try": breaker.next_probe,
    }


def _occurrences(counted: OccurrenceCount) -> dict[str, Any]:
    return {
        "mapping": counted.mapping,
        "status": str(counted.status),
        "blocked": counted.blocked or None,
        "count": counted.count,
        "oldest": counted.oldest,
    }


def _mapping(
    record: MappingRecord, capture: tuple[str, str] | None, checksums: Checksums | None
) -> dict[str, Any]:
    kind, why = capture or (None, None)
    return {
        "mapping": record.name,
        "read_at": record.read_at,
        "contacts": record.covered,
        "capture": kind,
        "capture_reason": why,
        "full_scan_at": None if checksums is None else checksums.full_at,
    }


def _hold(record: HoldRecord) -> dict[str, Any]:
    return {
        "mapping": record.mapping,
        "reason": record.reason,
        "message": record.message,
        "contacts": record.contacts,
        "digest": record.digest,
        "recorded_at": record.recorded_at,
        "approved_at": record.approved_at,
    }


def run_document(run: RunRecord) -> dict[str, Any]:
    """Return one run as status and history show it."""
    return {
        "run_id": run.id,
        "command": run.command,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "exit_code": run.exit_code,
        "result": dict(run.result),
    }
