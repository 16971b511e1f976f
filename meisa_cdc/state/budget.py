"""The persisted use of the request windows: one row a request, which is its intent as well."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

from sqlalchemy import Connection, bindparam, func, insert, select, update

from meisa_cdc.core.breaker import JUDGED, Breaker, forgiving
from meisa_cdc.core.budget import Usage
from meisa_cdc.core.contact import Contact
from meisa_cdc.core.delivery import Kind, Outcome, Request, is_rejection
from meisa_cdc.core.sharing import Throttle
from meisa_cdc.records import Grant
from meisa_cdc.state.engine import AnyRow, Database
from meisa_cdc.state.rows import contact_of, dumps, loads, row_of
from meisa_cdc.state.schema import ONLY, budget, grants
from meisa_cdc.state.settling import Settling

Intend = Callable[[Contact], tuple[Contact, Request] | None]
Admit = Callable[[Usage], Sequence[float] | None]
React = Callable[[Usage, int], Usage]

_NEWEST = (
    select(grants.c.done_at)
    .where(grants.c.done_at > bindparam("since"))
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
_LAST = select(func.coalesce(func.max(grants.c.id), 0))
_CODES = (
    select(grants.c.code)
    .where(
        grants.c.external_id != "", grants.c.id > bindparam("forgiven"), grants.c.open.is_(False)
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
        return _usage(row, self._database.column(_NEWEST, {"most": most, "since": since}))

    def grant(
        self,
        kind: str,
        *,
        now: float,
        deadline: float,
        admit: Callable[[Usage], Sequence[float] | None],
        external_id: str = "",
        intend: Intend | None = None,
        most: int = 0,
        since: float = 0.0,
    ) -> Grant | None:
        """Store in one transaction that a request starts: its row, the paces, the intent.

        The commit survives a loss of power: a request that left is never forgotten.
        `admit` gets the use inside the transaction, as `usage` returns it, and returns the
        paces to store; None where another process left no room meanwhile.
        """
        with self._database.write(durable=True) as connection:
            stored = connection.execute(_LOCKED).one()
            paces = admit(_usage(stored, _newest(connection, most, since)))
            if paces is None:
                return None
            request = None
            if intend is not None:
                request = self._intend(connection, external_id, intend)
                if request is None:
                    return None
            turn = stored.turn + (request is not None)
            connection.execute(_SET_PACES, {"new_paces": dumps(list(paces)), "new_turn": turn})
            return Grant(
                id=_start(connection, kind, external_id, now, deadline, request), request=request
            )

    def complete(
        self,
        grant: Grant,
        *,
        now: float,
        outcome: Outcome,
        settle: Callable[[Contact], Contact] | None = None,
        not_before: float = 0.0,
        react: React | None = None,
        most: int = 0,
        since: float = 0.0,
    ) -> None:
        """Store in one transaction what came of a request, and what it does to its contact.

        `react` gets the use and how many of the newest deliveries were rejected, and returns the
        use with pause, throttle and breaker as they are to be stored.
        """
        with self._database.write() as connection:
            # In the order in which `grant` locks, or the two would wait for each other.
            stored = connection.execute(_LOCKED).one() if react is not None else None
            if grant.request is not None:
                key = grant.request.external_id
                for row in self._stored.locked(connection, [key]):
                    contact = contact_of(row)
                    after = row_of(settle(contact) if settle else contact, row.id, row)
                    self._stored.store(connection, after._replace(not_before=not_before))
            done = {
                "grant": grant.id,
                "at": now,
                "new_code": outcome.code,
                "new_message": outcome.message,
            }
            connection.execute(_DONE, done)
            if react is not None and stored is not None:
                usage = _usage(stored, _newest(connection, most, since) if most else ())
                rejected = outcome.kind is Kind.REJECTED
                count = _rejections(connection, usage.breaker.forgiven) if rejected else 0
                _store(connection, usage, react(usage, count))

    def forgive(self) -> None:
        """Let deliveries go on after rejections: earlier ones count no more."""
        with self._database.write() as connection:
            usage = _usage(connection.execute(_LOCKED).one(), ())
            newest = connection.execute(_LAST).scalar_one()
            _store(connection, usage, replace(usage, breaker=forgiving(usage.breaker, newest)))

    def _intend(self, connection: Connection, key: str, intend: Intend) -> Request | None:
        for row in self._stored.locked(connection, [key]):
            intended = intend(contact_of(row))
            if intended is not None:
                contact, request = intended
                self._stored.store(connection, row_of(contact, row.id, row))
                return request
        return None


def _start(
    connection: Connection,
    kind: str,
    external_id: str,
    now: float,
    deadline: float,
    request: Request | None,
) -> int:
    row = {
        "kind": kind if request is None else request.kind,
        "external_id": external_id,
        "started_at": now,
        "done_at": deadline,
        "open": True,
        "code": "",
        "message": "",
        "fields": dumps(sorted(request.fields) if request else []),
    }
    added = connection.execute(insert(grants).returning(grants.c.id), row)
    number: int = added.scalar_one()
    return number


def _newest(connection: Connection, most: int, since: float) -> Sequence[float]:
    return connection.execute(_NEWEST, {"most": most, "since": since}).scalars().all()


def _rejections(connection: Connection, forgiven: int) -> int:
    """Return how many of the newest deliveries were rejected."""
    codes = connection.execute(_CODES, {"forgiven": forgiven}).scalars().all()
    return sum(map(is_rejection, codes))


def _store(connection: Connection, before: Usage, after: Usage) -> None:
    if after == before:
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
