"""The persisted use of the request windows: one row a request, which is its intent as well."""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, bindparam, insert, select, update

from meisa_cdc.core.budget import Usage
from meisa_cdc.core.contact import Contact
from meisa_cdc.core.delivery import Outcome, Request
from meisa_cdc.ports import Grant
from meisa_cdc.state.engine import AnyRow, Database
from meisa_cdc.state.rows import contact_of, dumps, loads, row_of
from meisa_cdc.state.schema import ONLY, budget, grants
from meisa_cdc.state.settling import Settling

Intend = Callable[[Contact], tuple[Contact, Request] | None]
Admit = Callable[[Usage], Sequence[float] | None]

_NEWEST = select(grants.c.done_at).order_by(grants.c.done_at.desc()).limit(bindparam("most"))
_BUDGET = select(budget.c.paces, budget.c.paused_until).where(budget.c.id == ONLY)
_LOCKED = _BUDGET.with_for_update()
_SET_PACES = update(budget).where(budget.c.id == ONLY).values(paces=bindparam("new_paces"))
_PAUSE = (
    update(budget)
    # A shorter wait that is asked for later does not end a longer one.
    .where(budget.c.id == ONLY, budget.c.paused_until < bindparam("until"))
    .values(paused_until=bindparam("until"))
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

    def usage(self, most: int) -> Usage:
        """Return what was started and answered, at most that many newest entries."""
        row = self._database.rows(_BUDGET)[0]
        return _usage(row, self._database.column(_NEWEST, {"most": most}))

    def grant(
        self,
        kind: str,
        *,
        now: float,
        deadline: float,
        paces: Sequence[float],
        external_id: str = "",
        intend: Intend | None = None,
        admit: Admit | None = None,
        most: int = 0,
    ) -> Grant | None:
        """Store in one transaction that a request starts: its row, the paces, the intent.

        The commit survives a loss of power: a request that left is never forgotten.
        `admit` gets the use inside the transaction, its `most` newest entries, and returns the
        paces to store in place of `paces`; None where another process left no room meanwhile.
        """
        with self._database.write(durable=True) as connection:
            stored = connection.execute(_LOCKED).one()
            if admit is not None:
                done = connection.execute(_NEWEST, {"most": most}).scalars().all()
                admitted = admit(_usage(stored, done))
                if admitted is None:
                    return None
                paces = admitted
            request = None
            if intend is not None:
                request = self._intend(connection, external_id, intend)
                if request is None:
                    return None
            connection.execute(_SET_PACES, {"new_paces": dumps(list(paces))})
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
        paused_until: float = 0.0,
    ) -> None:
        """Store in one transaction what came of a request, and what it does to its contact."""
        with self._database.write() as connection:
            # In the order in which `grant` locks, or the two would wait for each other.
            if paused_until:
                connection.execute(_PAUSE, {"until": paused_until})
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
        "kind": kind,
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


def _usage(stored: AnyRow, done: Sequence[float]) -> Usage:
    paces, paused_until = stored
    return Usage(done=done, paces=tuple(loads(paces)), paused_until=paused_until)
