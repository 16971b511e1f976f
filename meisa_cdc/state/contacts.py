"""The stored contacts: reading them, the backlog, quarantine."""

from collections.abc import Callable, Iterator, Sequence

from sqlalchemy import (
    JSON,
    Select,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    text,
    true,
    union,
    union_all,
    update,
)

from meisa_cdc.core.backlog import in_turn
from meisa_cdc.core.contact import SOURCE, Claim, Contact
from meisa_cdc.core.mapping import Priority
from meisa_cdc.core.plan import Cost
from meisa_cdc.core.values import email_key
from meisa_cdc.records import Counts, Settled
from meisa_cdc.state.bulk import among, bound
from meisa_cdc.state.engine import Database
from meisa_cdc.state.rows import COLUMNS, contact_of, read_row
from meisa_cdc.state.schema import contacts
from meisa_cdc.state.settling import Settling

#: Keys or contacts a batch of the iterators.
PAGE = 1000

_c = contacts.c
_DELIVERABLE = text("rank IS NOT NULL")

_ALL = (
    select(_c.external_id)
    .where(_c.external_id > bindparam("after"))
    .order_by(_c.external_id)
    .limit(PAGE)
)
_WAITING = _ALL.where(
    or_(_c.pending.is_not(None), _c.riding.is_not(None), _c.quarantine_code.is_not(None))
)
_DUE = (
    union_all(
        *(
            select(at.label("at"), _c.external_id).where(at.is_not(None), at <= bindparam("now"))
            for at in (_c.due, _c.confirm_at)
        )
    )
    .order_by(text("1"), text("2"))
    .limit(bindparam("most"))
)
_QUARANTINED = (
    select(*COLUMNS)
    .where(text("quarantine_code IS NOT NULL"), _c.external_id > bindparam("after"))
    .order_by(_c.external_id)
    .limit(PAGE)
)
_NEXT = (
    select(_c.external_id)
    .where(_DELIVERABLE, _c.not_before <= bindparam("now"))
    .order_by(_c.rank, _c.since, _c.external_id)
    .limit(bindparam("most"))
)
_NEXT_OF = _NEXT.where(_c.rank == bindparam("favour"))
_NEXT_ATTEMPT = select(func.min(_c.not_before)).where(text("rank IS NOT NULL AND not_before > 0"))
_BY_ADDRESS = (
    select(*COLUMNS)
    .where(or_(_c.ledger_email == bindparam("address"), _c.observed_email == bindparam("address")))
    .order_by(case((_c.observed_email == bindparam("address"), 0), else_=1), _c.external_id)
    .limit(1)
)
_BACKLOG = select(_c.rank, func.count(), func.min(_c.since)).where(_DELIVERABLE).group_by(_c.rank)
_COUNTED = union(
    # They are numbered from 1 without a gap and never deleted: to count a million takes long.
    select(literal("contacts").label("name"), func.coalesce(func.max(_c.id), 0).label("total")),
    *(
        select(literal(name).label("name"), func.count().label("total"))
        .select_from(contacts)
        .where(text(condition))
        for name, condition in (
            ("removed", "NOT present"),
            ("invalid", "invalid <> ''"),
            ("quarantined", "quarantine_code IS NOT NULL"),
            ("in_doubt", "in_doubt IS NOT NULL"),
        )
    ),
)
_SENDABLE = and_(_c.pending.is_not(None), _c.present, _c.invalid == "")
_RELEASE = update(contacts).values(
    # The rejection took it off the backlog.
    rank=case((_SENDABLE, func.coalesce(_c.rank, int(Priority.NORMAL))), else_=_c.rank),
    quarantine_code=None,
    quarantined_at=None,
    quarantine_payload=None,
    quarantine_message=None,
    not_before=0.0,
)


def _cost(*, file: bool) -> Select[tuple[str, int, int]]:
    """Return field -> contacts that wait because of it, and of those: because of it alone."""
    if file:
        names = func.json_each(_c.pending).table_valued("key", name="names")
    else:
        keys = func.json_object_keys(cast(_c.pending, JSON))
        names = keys.table_valued("key", name="names").render_derived()
    causes = (
        select(names.c.key, func.count().over(partition_by=_c.id).label("among"))
        .select_from(contacts)
        .join(names, true())
        .where(_DELIVERABLE, names.c.key != SOURCE)
        .subquery()
    )
    alone = func.sum(case((causes.c.among == 1, 1), else_=0))
    return select(causes.c.key, func.count(), alone).group_by(causes.c.key)


class SqlContacts:
    """`ports.Contacts` over a database, observations aside."""

    def __init__(self, database: Database) -> None:
        self._database = database
        file = self._file = database.sqlite
        self._settling = Settling(file=file)
        self._by_keys = select(*COLUMNS).where(among(_c.external_id, "keys", file=file))
        self._claims = union(
            *(
                select(_c.external_id, _c.ledger_email, _c.observed_email).where(
                    address.is_not(None), among(address, "addresses", file=file)
                )
                for address in (_c.ledger_email, _c.observed_email)
            )
        )
        held = (
            select(_c.id)
            .where(_c.quarantine_code.is_not(None))
            # Locked in the order of `settle`, or the two would wait for each other.
            .order_by(_c.external_id)
            .with_for_update()
        )
        these = held.where(among(_c.external_id, "keys", file=file))
        self._cost = _cost(file=file)
        self._release_all = _RELEASE.where(_c.id.in_(held))
        self._release = _RELEASE.where(_c.id.in_(these))

    def load(self, keys: Sequence[str]) -> dict[str, Contact]:
        """Return the contacts with these keys; unknown keys are left out."""
        rows = self._database.rows(self._by_keys, {"keys": self._bound(keys)})
        return {row.external_id: contact_of(read_row(row)) for row in rows}

    def find(self, text: str) -> Contact | None:
        """Return the contact with this external_id, or with this e-mail in any case."""
        rows = self._database.rows(self._by_keys, {"keys": self._bound([text])})
        if not rows:
            rows = self._database.rows(_BY_ADDRESS, {"address": email_key(text)})
        return contact_of(read_row(rows[0])) if rows else None

    def claims(self, email_keys: Sequence[str]) -> list[Claim]:
        """Return every contact that holds or observes one of these case-folded addresses."""
        wanted = set(email_keys)
        found = []
        rows = self._database.rows(self._claims, {"addresses": self._bound(list(wanted))})
        for key, holds, observes in rows:
            for address in {holds, observes} & wanted:
                claim = Claim(
                    external_id=key,
                    email_key=address,
                    holds=address == holds,
                    observes=address == observes,
                )
                found.append(claim)
        return sorted(found, key=lambda claim: (claim.email_key, claim.external_id))

    def pending(self) -> Iterator[Sequence[str]]:
        """Yield batches of keys, in order, of contacts with anything pending or quarantined."""
        yield from self._key_pages(_WAITING)

    def due(self, now: float, most: int) -> Sequence[str]:
        """Return the keys of contacts with something due: what rides along, or a confirmation."""
        rows = self._database.rows(_DUE, {"now": now, "most": most})
        return list(dict.fromkeys(key for _, key in rows))

    def keys(self) -> Iterator[Sequence[str]]:
        """Yield batches of the keys of all contacts, in order."""
        yield from self._key_pages(_ALL)

    def settle(
        self,
        keys: Sequence[str],
        decide: Callable[[str, Contact | None], Settled],
        *,
        now: float,  # noqa: ARG002 - contacts carry their own times
    ) -> None:
        """Load these contacts, decide each anew and store all of it in one transaction."""
        with self._database.write() as connection:
            self._settling.settle(connection, keys, decide)

    def next_deliveries(
        self, now: float, most: int, busy: Sequence[str] = (), *, favour: Sequence[int | None] = ()
    ) -> Sequence[str]:
        """Return the keys of the next contacts to deliver, the most urgent and oldest first.

        `favour` says of each place whose turn it is: a rank, where that has anything left.
        """
        taken = frozenset(busy)

        def first(statement: Select[str], **rank: int) -> list[str]:
            wanted = {"now": now, "most": most + len(taken), **rank}
            return [key for key in self._database.column(statement, wanted) if key not in taken]

        waiting = first(_NEXT)
        # The others' turns matter only where there are any.
        ranks = {rank for rank in favour[:most] if rank is not None} if waiting else set()
        return in_turn(waiting, {r: first(_NEXT_OF, favour=r) for r in ranks}, favour, most)

    def next_attempt(self) -> float | None:
        """Return the earliest epoch second at which a deferred contact may be tried again."""
        earliest: float | None = self._database.rows(_NEXT_ATTEMPT)[0][0]
        return earliest

    def cost(self) -> Cost:
        """Return which fields make the deliverable contacts wait for a request."""
        rows = self._database.rows(self._cost)
        return Cost(
            by_field={name: total for name, total, _ in rows},
            sole={name: alone for name, _, alone in rows if alone},
        )

    def counts(self) -> Counts:
        """Return how many contacts are in which condition."""
        counted = {row.name: row.total for row in self._database.rows(_COUNTED)}
        backlog = self._database.rows(_BACKLOG)
        return Counts(
            **counted,
            present=counted["contacts"] - counted["removed"],
            backlog={rank: count for rank, count, _ in backlog},
            oldest=min((since for *_, since in backlog if since is not None), default=None),
        )

    def quarantined(self) -> Iterator[Sequence[Contact]]:
        """Yield batches of quarantined contacts in order of their keys."""
        after = ""
        while rows := self._database.rows(_QUARANTINED, {"after": after}):
            found = [contact_of(read_row(row)) for row in rows]
            yield found
            after = found[-1].external_id

    def release(self, keys: Sequence[str] | None = None) -> int:
        """Put quarantined contacts (None: all) back into the backlog; return how many."""
        with self._database.write() as connection:
            if keys is None:
                return connection.execute(self._release_all).rowcount
            return connection.execute(self._release, {"keys": self._bound(keys)}).rowcount

    def _key_pages(self, statement: Select[str]) -> Iterator[Sequence[str]]:
        after = ""
        while keys := self._database.column(statement, {"after": after}):
            yield keys
            after = keys[-1]

    def _bound(self, values: Sequence[object]) -> object:
        return bound(values, file=self._file)
