"""The persisted use of the request windows: one row a request, which is its intent as well."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from meisa_cdc.core.breaker import JUDGED, Breaker, forgiving
from meisa_cdc.core.budget import Usage, begun
from meisa_cdc.core.contact import Contact
from meisa_cdc.core.delivery import Request
from meisa_cdc.core.outcome import WITHHELD, Kind, is_rejection
from meisa_cdc.core.sharing import Throttle
from meisa_cdc.records import Concluded, DeliveryRecord, Grant
from meisa_cdc.state.engine import AnyRow, Database
from meisa_cdc.state.rows import ContactRow, contact_of, dumps, loads, row_of
from meisa_cdc.state.schema import ONLY, budget, grants
from meisa_cdc.state.settling import Settling

Intend = Callable[[Contact], tuple[Contact, Request] | None]
Admit = Callable[[Usage], Sequence[float] | None]

#: What was taken back before it left is no request: not in the windows, and nothing to judge by.
_LEFT = grants.c.code != WITHHELD.code
_NEWEST = (
    select(grants.c.done_at)
    .where(grants.c.done_at > bindparam("since"), _LEFT)
    .order_by(grants.c.done_at.desc())
    .limit(bindparam("most"))
)
_ONLY = budget.c.id == ONLY
_BUDGET = select(
    budget.c.paces, budget.c.paused_until, budget.c.throttle, budget.c.breaker, budget.c.turn
).where(_ONLY)
_LOCKED = _BUDGET.with_for_update()
_SET_PACES = (
    update(budget).where(_ONLY).values(paces=bindparam("new_paces"), turn=bindparam("new_turn"))
)
_REACT = (
    update(budget)
    .where(_ONLY)
    .values(
        paused_until=bindparam("until"),
        throttle=bindparam("new_throttle"),
        breaker=bindparam("new_breaker"),
    )
)
_START = insert(grants).returning(grants.c.id, grants.c.external_id)
_LAST = select(func.coalesce(func.max(grants.c.id), 0))
_CODES = (
    select(grants.c.code)
    .where(
        grants.c.external_id != "",
        grants.c.id > bindparam("forgiven"),
        grants.c.open.is_(False),
        _LEFT,
    )
    .order_by(grants.c.id.desc())
    .limit(JUDGED)
)
_DONE = (
    update(grants)
    .where(grants.c.id == bindparam("grant"))
    .values(
        open=False,
        done_at=bindparam("at"),
        code=bindparam("new_code"),
        message=bindparam("new_message"),
    )
)


class SqlBudget:
    """`ports.Budget` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stored = Settling(file=database.sqlite)

    def usage(self, most: int, since: float = 0.0) -> Usage:
        """Return what was started, and answered after `since`: that many newest entries at most."""
        row = self._database.rows(_BUDGET)[0]
        wanted = {"most": most, "since": since}
        return _usage(row, self._database.column(_NEWEST, wanted) if most else ())

    def grant(
        self,
        kind: str,
        *,
        now: float,
        deadline: float,
        admit: Admit,
        most: int = 0,
        since: float = 0.0,
    ) -> Grant | None:
        """Store in one transaction that a request about no contact starts: its row, the paces.

        `admit` gets the use inside the transaction, as `usage` returns it, and returns the
        paces to store; None where another process left no room meanwhile.
        """
        with self._database.write(durable=True) as connection:
            usage = _use(connection, most, since)
            paces = admit(usage)
            if paces is None:
                return None
            connection.execute(_SET_PACES, _paces(replace(usage, paces=paces)))
            added = connection.execute(_START, _row(kind, None, now, deadline))
            return Grant(id=added.scalar_one(), request=None)

    def grant_deliveries(
        self,
        keys: Sequence[str],
        *,
        now: float,
        deadline: float,
        admit: Admit,
        intend: Intend,
        most: int = 0,
        since: float = 0.0,
        concluded: Sequence[Concluded] = (),
    ) -> Sequence[Grant]:
        """Store in one transaction that requests start: their rows, the paces, the intents.

        What came of earlier ones, `concluded`, is stored before, whether any starts or not. The
        commit survives a loss of power: a request that left is never forgotten.
        """
        with self._database.write(durable=True) as connection:
            before = _use(connection, 0, 0.0)
            rows = self._stored.locked(connection, [*_about(concluded), *keys])
            changed = _settled(rows, concluded)
            usage = _conclude(connection, before, concluded, most, since)
            requests: list[Request] = []
            for key in keys:
                paces = admit(usage)
                row = changed.get(key) or rows.get(key)
                intended = None if paces is None or row is None else intend(contact_of(row))
                if paces is None or row is None or intended is None:
                    break
                changed[key] = row_of(intended[0], row.id, row)
                requests.append(intended[1])
                usage = begun(usage, paces, deadline)
            self._stored.store(connection, list(changed.values()))
            if not requests:
                return ()
            connection.execute(_SET_PACES, _paces(usage))
            starts = [_row(request.kind, request, now, deadline) for request in requests]
            ids = {key: number for number, key in connection.execute(_START, starts).all()}
            return [Grant(id=ids[each.external_id], request=each) for each in requests]

    def complete(self, *concluded: Concluded, most: int = 0, since: float = 0.0) -> None:
        """Store in one transaction what came of requests, and what it does to their contacts."""
        with self._database.write() as connection:
            # In the order in which grants lock, or the two would wait for each other.
            before = _use(connection, 0, 0.0)
            rows = self._stored.locked(connection, list(_about(concluded)))
            self._stored.store(connection, list(_settled(rows, concluded).values()))
            _conclude(connection, before, concluded, most, since)

    def forgive(self) -> None:
        """Let deliveries go on after rejections: earlier ones count no more."""
        with self._database.write() as connection:
            usage = _usage(connection.execute(_LOCKED).one(), ())
            newest = connection.execute(_LAST).scalar_one()
            _store(connection, usage, replace(usage, breaker=forgiving(usage.breaker, newest)))


def opened(
    connection: Connection, admit: Admit, *, deadline: float, most: int, since: float
) -> Usage | None:
    """Return the use once one more request starts in this transaction; None without room."""
    usage = _use(connection, most, since)
    paces = admit(usage)
    return None if paces is None else begun(usage, paces, deadline)


def record(connection: Connection, usage: Usage, delivery: DeliveryRecord, deadline: float) -> int:
    """Store a request for which `opened` found room; return its id."""
    connection.execute(_SET_PACES, _paces(usage))
    row = _row(delivery.kind, None, delivery.started_at, deadline)
    row |= {"external_id": delivery.external_id, "fields": dumps(list(delivery.fields))}
    number: int = connection.execute(_START, row).one().id
    return number


def _row(kind: str, request: Request | None, now: float, deadline: float) -> dict[str, Any]:
    return {
        "kind": kind,
        "external_id": request.external_id if request else "",
        "started_at": now,
        "done_at": deadline,
        "open": True,
        "code": "",
        "message": "",
        "fields": dumps(sorted(request.fields) if request else []),
    }


def _done(concluded: Concluded) -> dict[str, Any]:
    return {
        "grant": concluded.grant.id,
        "at": concluded.now,
        "new_code": concluded.outcome.code,
        "new_message": concluded.outcome.message,
    }


def _about(concluded: Sequence[Concluded]) -> dict[str, Concluded]:
    """Return what came of requests about contacts, by contact."""
    return {each.grant.request.external_id: each for each in concluded if each.grant.request}


def _settled(
    rows: Mapping[str, ContactRow], concluded: Sequence[Concluded]
) -> dict[str, ContactRow]:
    """Return the rows of contacts as they are once it is known what came of their requests."""
    settled = {}
    for key, each in _about(concluded).items():
        row = rows.get(key)
        if row is not None:
            contact = contact_of(row)
            after = row_of(each.settle(contact) if each.settle else contact, row.id, row)
            settled[key] = after._replace(not_before=each.not_before)
    return settled


def _conclude(
    connection: Connection,
    before: Usage,
    concluded: Sequence[Concluded],
    most: int,
    since: float,
) -> Usage:
    """Store that requests ended, and return the use after what their outcomes do to it."""
    if concluded:
        connection.execute(_DONE, [_done(each) for each in concluded])
    usage = replace(before, done=_newest(connection, most, since))
    for each in concluded:
        if each.react is not None:
            rejected = each.outcome.kind is Kind.REJECTED
            count = _rejections(connection, usage.breaker.forgiven) if rejected else 0
            usage = each.react(usage, count)
    _store(connection, before, usage)
    return usage


def _paces(usage: Usage) -> dict[str, Any]:
    return {"new_paces": dumps(list(usage.paces)), "new_turn": usage.turn}


def _use(connection: Connection, most: int, since: float) -> Usage:
    """Return the use, which nobody else changes until the commit."""
    stored = connection.execute(_LOCKED).one()
    return _usage(stored, _newest(connection, most, since))


def _newest(connection: Connection, most: int, since: float) -> Sequence[float]:
    if not most:
        return ()
    return connection.execute(_NEWEST, {"most": most, "since": since}).scalars().all()


def _rejections(connection: Connection, forgiven: int) -> int:
    """Return how many of the newest deliveries were rejected."""
    codes = connection.execute(_CODES, {"forgiven": forgiven}).scalars().all()
    return sum(map(is_rejection, codes))


def _store(connection: Connection, before: Usage, after: Usage) -> None:
    if replace(after, done=before.done) == before:
        return
    changed = {
        "until": after.paused_until,
        "new_throttle": dumps(asdict(after.throttle)),
        "new_breaker": dumps(asdict(after.breaker)),
    }
    connection.execute(_REACT, changed)


def _usage(stored: AnyRow, done: Sequence[float]) -> Usage:
    paces, paused_until, throttle, breaker, turn = stored
    return Usage(
        done=done,
        paces=tuple(loads(paces)),
        paused_until=paused_until,
        throttle=Throttle(**loads(throttle)),
        breaker=Breaker(**loads(breaker)),
        turn=turn,
    )
