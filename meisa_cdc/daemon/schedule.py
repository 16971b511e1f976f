"""When mappings are due: APScheduler keeps the time, cron expressions are read by cronsim."""

from collections.abc import Callable, Iterable, Mapping as Dict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Condition
from typing import Any
from zoneinfo import ZoneInfo

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger
from cronsim import CronSim

from meisa_cdc.core.mapping import Mapping

#: The pull of the suppression list, among the names of what can be due.
SUPPRESSIONS = "suppressions"
#: Seconds in which what becomes due is still read together.
GATHERING = 0.1


class CronTrigger(BaseTrigger):  # type: ignore[misc]  # the library ships no types
    """A five-field cron expression in a time zone; Monday is 1, a skipped hour runs once."""

    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        self.expression = expression
        self.zone = zone

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None:
        """Return the next time after the previous one, or after now."""
        after = (previous or now).astimezone(self.zone)
        return next(CronSim(self.expression, after), None)


@dataclass(slots=True, kw_only=True)
class Due:
    """What is due and not yet begun; several threads mark, one takes."""

    names: set[str] = field(default_factory=set)
    _changed: Condition = field(default_factory=Condition)
    _closed: bool = False

    def mark(self, *names: str) -> None:
        """Note that these are due."""
        with self._changed:
            self.names.update(names)
            self._changed.notify_all()

    def close(self) -> None:
        """Let whoever waits go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self, timeout: float) -> frozenset[str]:
        """Wait until something is due, and take all of it; empty after the timeout or the end."""
        with self._changed:
            if self._changed.wait_for(lambda: self.names or self._closed, timeout):
                # Jobs of one instant fire one by one; they are to share a snapshot.
                self._changed.wait_for(lambda: self._closed, GATHERING)
            taken = frozenset(self.names)
            self.names.clear()
            return taken


@dataclass(slots=True, kw_only=True)
class Schedules:
    """One job a mapping, rebuilt whenever the set of mappings changes."""

    mark: Callable[..., None]
    #: Seconds between two reads of a mapping that says nothing else.
    every: float
    #: Seconds between two pulls of the suppression list.
    suppressions_every: float
    zone: ZoneInfo
    _scheduler: Any = None
    _known: dict[str, tuple[str, float]] = field(default_factory=dict)

    def start(self, mappings: Iterable[Mapping], last: Dict[str, float], now: float) -> None:
        """Start the clockwork; `last` holds the epoch second of each one's last run."""
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        self._add(SUPPRESSIONS, "", self.suppressions_every, last.get(SUPPRESSIONS), now)
        self.update(mappings, last, now)
        self._scheduler.start()

    def update(self, mappings: Iterable[Mapping], last: Dict[str, float], now: float) -> None:
        """Make the jobs those of these mappings; jobs that stay as they are keep their time."""
        wanted = {m.name: (m.cron, m.every or self.every) for m in mappings if m.enabled}
        for name in [name for name in self._known if name not in wanted]:
            self._scheduler.remove_job(name)
            del self._known[name]
        for name, (cron, every) in wanted.items():
            if self._known.get(name) != (cron, every):
                self._known[name] = (cron, every)
                self._add(name, cron, every, last.get(name), now)

    def stop(self) -> None:
        """Start nothing more."""
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)
            self._scheduler = None

    def _add(self, name: str, cron: str, every: float, last: float | None, now: float) -> None:
        trigger: BaseTrigger
        if cron:
            trigger = CronTrigger(cron, self.zone)
            missed = last is None or _next_of(trigger, last) <= now
        else:
            trigger = IntervalTrigger(
                seconds=every, start_date=_moment(max(now, (last or 0) + every))
            )
            missed = last is None or last + every <= now
        self._scheduler.add_job(self.mark, trigger, args=[name], id=name, replace_existing=True)
        if missed:
            self.mark(name)


def _next_of(trigger: CronTrigger, after: float) -> float:
    moment = trigger.get_next_fire_time(None, _moment(after))
    return float("inf") if moment is None else moment.timestamp()


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
