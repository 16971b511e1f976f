"""What is done once at Meisa: one row an occurrence, for ever."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    func,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from meisa_cdc.core.budget import Usage
from meisa_cdc.core.mapping import ONCE
from meisa_cdc.core.occurrence import OPEN, SETTLED_BY_HAND, Occurrence, Status
from meisa_cdc.records import Grant, OccurrenceCount, started
from meisa_cdc.state.budget import opened, record
from meisa_cdc.state.bulk import among, bound
from meisa_cdc.state.engine import AnyRow, Database
from meisa_cdc.state.rows import dumps, loads
from meisa_cdc.state.schema import contacts, mappings, occurrences
from meisa_cdc.state.settling import mapping_ids

#: Rows a batch of the iterator.
PAGE = 500

_o = occurrences.c
#: As text, so that the partial indexes are seen to fit.
_WAITING = text("occurrences.status = 'waiting'")
_SENT = text("occurrences.status = 'sent'")
_OPEN = text("occurrences.status IN ('waiting', 'sent', 'rejected', 'parked')")
_ALL = select(occurrences, mappings.c.name.label("mapping")).join(
    mappings, mappings.c.id == _o.mapping_id
)
_MAY_START = _ALL.where(_WAITING, _o.not_before <= bindparam("now"))
_NEXT = _MAY_START.order_by(_o.rank, _o.since, _o.occurred_at, _o.id).limit(bindparam("most"))
_COMPANIONS = (
    _MAY_START.where(text("occurrences.slug <> ''"), _o.slug == bindparam("slug"))
    .order_by(_o.id)
    .limit(bindparam("most"))
)
_SOONEST = select(func.min(_o.not_before)).where(
    _WAITING, _o.blocked == "", _o.not_before > literal_column("0")
)
_DUE = select(contacts.c.not_before).where(
    contacts.c.external_id == bindparam("key"), contacts.c.rank.is_not(None)
)
_COUNTS = (
    select(
        mappings.c.name,
        _o.status,
        _o.blocked,
        func.count().label("number"),
        func.min(_o.since).label("oldest"),
    )
    .join(mappings, mappings.c.id == _o.mapping_id)
    .where(_OPEN)
    .group_by(mappings.c.name, _o.status, _o.blocked)
    .order_by(mappings.c.name, _o.status, _o.blocked)
)
#: What changes of an occurrence once it is on record.
_CHANGING = ("status", "body", "not_before", "tried_at", "attempts", "blocked", "code", "message")
_CHANGE = (
    update(occurrences)
    .where(_o.id == bindparam("ref"), _o.status == bindparam("was"))
    .values({name: bindparam(f"new_{name}") for name in _CHANGING})
)


class SqlOccurrences:
    """`ports.Occurrences` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        insert = sqlite.insert if database.sqlite else postgresql.insert
        self._add = insert(occurrences).on_conflict_do_nothing(
            index_elements=[_o.mapping_id, _o.key]
        )

    def known_occurrences(self, mapping: str, keys: Sequence[str]) -> set[str]:
        """Return those of the keys that are on record, whatever became of them."""
        query = (
            select(_o.key)
            .join(mappings, mappings.c.id == _o.mapping_id)
            .where(mappings.c.name == mapping, self._among(_o.key, "keys"))
        )
        return set(self._database.column(query, {"keys": self._bound(keys)}))

    def admit_occurrences(self, occurrences: Sequence[Occurrence]) -> None:
        """Store those that are not on record yet."""
        if not occurrences:
            return
        with self._database.write() as connection:
            ids = mapping_ids(connection, {each.mapping for each in occurrences})
            rows = [_new(each, ids[each.mapping]) for each in occurrences]
            connection.execute(self._add, rows)

    def next_occurrences(
        self, now: float, most: int, *, kinds: Sequence[str], favour: int | None = None
    ) -> Sequence[Occurrence]:
        """Return what waits and may be tried now, the most urgent and oldest first.

        `favour` is the rank whose turn it is, where there is anything of it.
        """
        query, bounds = _of_kinds(_NEXT, kinds), {"now": now, "most": most}
        rows: Sequence[AnyRow] = ()
        if favour is not None:
            rows = self._database.rows(query.where(_o.rank == favour), bounds)
        return [_occurrence(row) for row in rows or self._database.rows(query, bounds)]

    def delivery_due(self, external_id: str) -> float | None:
        """Return when a contact's pending delivery may be tried; None where none is pending."""
        found = self._database.column(_DUE, {"key": external_id})
        return found[0] if found else None

    def companions(self, slug: str, now: float, most: int) -> Sequence[Occurrence]:
        """Return the enrolments in this sequence that may be tried now, the oldest first."""
        rows = self._database.rows(_COMPANIONS, {"slug": slug, "now": now, "most": most})
        return [_occurrence(row) for row in rows]

    def next_occurrence_attempt(self, kinds: Sequence[str]) -> float | None:
        """Return the earliest epoch second at which a deferred one, not blocked, may be tried."""
        soonest: float | None = self._database.rows(_of_kinds(_SOONEST, kinds))[0][0]
        return soonest

    def grant_occurrences(
        self,
        refs: Sequence[int],
        *,
        now: float,
        deadline: float,
        admit: Callable[[Usage], Sequence[float] | None],
        intend: Callable[[Occurrence], Occurrence],
        most: int = 0,
        since: float = 0.0,
    ) -> tuple[Grant, Sequence[Occurrence]] | None:
        """Store in one transaction that a request starts, and that these were about to be sent.

        The commit survives a loss of power: nothing leaves that is not on record as sent.
        """
        with self._database.write(durable=True) as connection:
            usage = opened(connection, admit, deadline=deadline, most=most, since=since)
            waiting = [] if usage is None else self._locked(connection, refs)
            if usage is None or not waiting:
                return None
            _change(connection, [intend(each) for each in waiting], Status.WAITING)
            number = record(connection, usage, started(waiting, now), deadline)
        return Grant(id=number, request=None), waiting

    def store_occurrences(self, changed: Sequence[Occurrence], *, before: Status) -> None:
        """Store these as they are now where they still stand as before."""
        with self._database.write() as connection:
            _change(connection, changed, before)

    def sent_occurrences(self, until: float | None = None) -> Sequence[Occurrence]:
        """Return what was about to be sent and given up by then (None: all of it)."""
        query = _ALL.where(_SENT).order_by(_o.id)
        if until is not None:
            query = query.where(_o.not_before <= until)
        return [_occurrence(row) for row in self._database.rows(query)]

    def unblock_occurrences(self) -> None:
        """Let what is blocked be looked at again now."""
        blocked = update(occurrences).where(_WAITING, _o.blocked != "", _o.not_before > 0)
        with self._database.write() as connection:
            connection.execute(blocked.values(not_before=0.0))

    def resolve_occurrences(
        self, status: Status, *, keys: Sequence[str] | None, mappings: Sequence[str] | None
    ) -> int:
        """Settle what was rejected or parked: DONE, or WAITING to be tried again."""
        query = update(occurrences).where(_OPEN, _o.status.in_(SETTLED_BY_HAND))
        parameters: dict[str, Any] = {}
        if keys is not None:
            query = query.where(self._among(_o.key, "keys"))
            parameters["keys"] = self._bound(keys)
        if mappings is not None:
            query = query.where(_o.mapping_id.in_(_numbers(mappings)))
        values: dict[str, Any] = {"status": status, "not_before": 0.0, "tried_at": None}
        values |= {"attempts": 0, "blocked": ""}
        if status is not Status.WAITING:
            values["body"] = None
        with self._database.write() as connection:
            return connection.execute(query.values(values), parameters).rowcount

    def baseline_occurrences(self, mapping: str) -> int:
        """Take what waits of a mapping as done; return how many."""
        query = update(occurrences).where(_WAITING, _o.mapping_id.in_(_numbers([mapping])))
        with self._database.write() as connection:
            values = {"status": Status.BASELINE, "body": None, "blocked": "", "not_before": 0.0}
            return connection.execute(query.values(values)).rowcount

    def occurrences(
        self, statuses: Sequence[Status], *, mappings: Sequence[str] | None = None
    ) -> Iterator[Sequence[Occurrence]]:
        """Yield batches of what stands so, of these mappings (None: all), oldest first."""
        query = _ALL.where(_o.status.in_(statuses), _o.id > bindparam("after"))
        if set(statuses) <= set(OPEN):
            query = query.where(_OPEN)
        if mappings is not None:
            query = query.where(_o.mapping_id.in_(_numbers(mappings)))
        query = query.order_by(_o.id).limit(PAGE)
        after = 0
        while rows := self._database.rows(query, {"after": after}):
            yield [_occurrence(row) for row in rows]
            after = rows[-1].id

    def occurrence_counts(self) -> Sequence[OccurrenceCount]:
        """Count what something is still to be done about."""
        return [
            OccurrenceCount(
                mapping=row.name,
                status=Status(row.status),
                blocked=row.blocked,
                count=row.number,
                oldest=row.oldest,
            )
            for row in self._database.rows(_COUNTS)
        ]

    def _locked(self, connection: Connection, refs: Sequence[int]) -> list[Occurrence]:
        query = (
            _ALL.where(self._among(_o.id, "refs"), _o.status == Status.WAITING)
            .order_by(_o.id)
            .with_for_update(of=occurrences)
        )
        rows = connection.execute(query, {"refs": self._bound(refs)}).all()
        place = {ref: number for number, ref in enumerate(refs)}
        return [_occurrence(row) for row in sorted(rows, key=lambda row: place[row.id])]

    def _among(self, column: ColumnElement[Any], parameter: str) -> ColumnElement[bool]:
        return among(column, parameter, file=self._database.sqlite)

    def _bound(self, values: Sequence[Any]) -> Any:
        return bound(values, file=self._database.sqlite)


def _numbers(names: Sequence[str]) -> Select[Any]:
    return select(mappings.c.id).where(mappings.c.name.in_(names))


def _of_kinds(query: Select[Any], kinds: Sequence[str]) -> Select[Any]:
    return query if set(kinds) == set(ONCE) else query.where(_o.kind.in_(kinds))


def _change(connection: Connection, changed: Sequence[Occurrence], before: Status) -> None:
    rows = [
        {
            "ref": each.ref,
            "was": before,
            **{f"new_{name}": value for name, value in _changing(each).items()},
        }
        for each in changed
    ]
    if rows:
        connection.execute(_CHANGE, rows)


def _changing(occurrence: Occurrence) -> dict[str, Any]:
    values = {name: getattr(occurrence, name) for name in _CHANGING}
    return values | {"body": dumps(occurrence.body) if occurrence.body else None}


def _new(occurrence: Occurrence, mapping: int) -> dict[str, Any]:
    same = ("key", "kind", "external_id", "email", "slug", "rank", "since")
    return {
        "mapping_id": mapping,
        "occurred_at": occurrence.since
        if occurrence.occurred_at is None
        else occurrence.occurred_at,
        **{name: getattr(occurrence, name) for name in (*same, "at_least_once", "fingerprint")},
        **_changing(occurrence),
    }


def _occurrence(row: AnyRow) -> Occurrence:
    same = ("mapping", "kind", "key", "external_id", "email", "slug", "rank", "since")
    further = ("occurred_at", "not_before", "tried_at", "attempts", "blocked", "code", "message")
    return Occurrence(
        ref=row.id,
        body=loads(row.body) if row.body else {},
        fingerprint=row.fingerprint or b"",
        at_least_once=bool(row.at_least_once),
        status=Status(row.status),
        **{name: getattr(row, name) for name in (*same, *further)},
    )
