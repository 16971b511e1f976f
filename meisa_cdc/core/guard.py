"""When a plan is held: a surprise waits for a person."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from meisa_cdc.core.mapping import Column

#: Seconds after which nobody would expect any more what happened since the last pass.
DAY = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSettings:
    """What counts as a surprise."""

    #: `send`: a first load is not held.
    first_load: Literal["hold", "send"] = "hold"
    #: Share of the covered contacts that may change at once.
    max_change: float = 0.30
    #: Share of the covered contacts that may lose their row at once.
    max_missing: float = 0.10
    #: Shares are judged from this many covered contacts on.
    min_contacts: int = 100
    #: New rows that an events, emails or sequences mapping may bring in one pass.
    max_new_rows: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What a pass did to the contacts of one mapping."""

    mapping: str
    #: Known contacts that it had a row for before.
    covered: int
    #: Known contacts for which it brings a difference that was not admitted before.
    changed: int
    #: Known contacts whose row is gone.
    lost: int
    #: Rows it yields now.
    rows: int
    #: The file is not the one that was read last.
    edited: bool
    #: Columns as they were at the last read that was not held; empty where there was none.
    columns_before: Sequence[Column]
    columns_now: Sequence[Column]
    #: What the hold's approval has to name.
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """What a pass brought of one events, emails or sequences mapping."""

    mapping: str
    #: Occurrences that were not there before and would be sent.
    new: int
    #: The file is not the one that was read last.
    edited: bool
    #: Seconds since the last pass that was not held; None: this is the first.
    since: float | None
    #: Seconds between two passes, as far as the mapping says.
    every: float | None
    #: What the hold's approval has to name.
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One mapping whose changes wait for a person."""

    mapping: str
    #: `first_load`, `empty`, `columns`, `max_missing`, `max_change`; of what is done once
    #: `edited`, `late`, `max_new_rows`.
    reason: str
    #: For people: figures, and what differs.
    message: str
    #: Contacts whose change waits, or occurrences that do.
    contacts: int
    digest: str


def judge(
    tallies: Iterable[Tally], settings: GuardSettings, *, first_load: Hold | None
) -> tuple[Hold, ...]:
    """Return what is held. A first load that is held holds everything else with it."""
    if first_load is not None and _is_surprise(first_load, settings):
        return (first_load,)
    holds = (_judge_one(tally, settings) for tally in tallies)
    return tuple(hold for hold in holds if hold is not None)


def _is_surprise(first_load: Hold, settings: GuardSettings) -> bool:
    return settings.first_load == "hold" and first_load.contacts > settings.min_contacts


def _judge_one(tally: Tally, settings: GuardSettings) -> Hold | None:
    def hold(reason: str, message: str, contacts: int) -> Hold:
        return Hold(
            mapping=tally.mapping,
            reason=reason,
            message=message,
            contacts=contacts,
            digest=tally.digest,
        )

    if tally.covered and not tally.rows:
        return hold("empty", f"it had {tally.covered} rows and has none now", tally.covered)
    differences = column_differences(tally.columns_before, tally.columns_now)
    if differences and not tally.edited:
        return hold("columns", "; ".join(differences), tally.changed)
    if tally.covered < max(settings.min_contacts, 1):
        return None
    if _exceeds(tally.lost, settings.max_missing, tally.covered):
        return hold(
            "max_missing",
            f"{tally.lost} of {tally.covered} contacts lost their row, "
            f"over {settings.max_missing * 100:g} %",
            tally.lost,
        )
    if _exceeds(tally.changed, settings.max_change, tally.covered):
        return hold(
            "max_change",
            f"{tally.changed} of {tally.covered} contacts would change, "
            f"over {settings.max_change * 100:g} %",
            tally.changed,
        )
    return None


def judge_arrivals(arrivals: Arrivals, settings: GuardSettings) -> Hold | None:
    """Return why new occurrences wait for a person; None where they need not."""
    if not arrivals.new:
        return None

    def hold(reason: str, message: str) -> Hold:
        return Hold(
            mapping=arrivals.mapping,
            reason=reason,
            message=message,
            contacts=arrivals.new,
            digest=arrivals.digest,
        )

    if arrivals.edited:
        return hold("edited", f"the file was edited, and there are {arrivals.new} new rows")
    if arrivals.since is not None and arrivals.since > DAY + (arrivals.every or 0.0):
        hours = arrivals.since / 3600
        return hold("late", f"the last pass was {hours:.0f} h ago, and there are new rows")
    if arrivals.new > settings.max_new_rows:
        return hold("max_new_rows", f"{arrivals.new} new rows, over {settings.max_new_rows}")
    return None


def _exceeds(count: int, share: float, covered: int) -> bool:
    # A float product such as 0.29 * 100 must not turn the limit itself into a surprise.
    return count > share * covered + 1e-9


def column_differences(before: Sequence[Column], now: Sequence[Column]) -> list[str]:
    """Return what became of the columns, one phrase each; empty where there was no read before."""
    if not before:
        return []
    old = {column.name: column.type for column in before}
    new = {column.name: column.type for column in now}
    gone = [f"column {name} is gone" for name in old if name not in new]
    come = [f"column {name} is new" for name in new if name not in old]
    changed = [
        f"column {name} was {old[name]} and is {new[name]}"
        for name in old
        if name in new and old[name] and new[name] and old[name] != new[name]
    ]
    return gone + come + changed
