"""What was observed of the contacts, mapping by mapping, and what it added up to."""

import sys
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence

from sqlalchemy import and_, bindparam, case, delete, exists, func, or_, select, update

from meisa_cdc.core.checksums import Buckets, Checksums
from meisa_cdc.records import Absent, Seen
from meisa_cdc.state.bulk import Upsert, among, bound
from meisa_cdc.state.engine import Database
from meisa_cdc.state.schema import checksums, contacts, mappings, observed
from meisa_cdc.state.unseen import gaps

#: Contacts a batch of the iterators.
PAGE = 1000
#: Observations looked through at a time.
LARGE_PAGE = 20_000

_c, _o = contacts.c, observed.c
_LAST_REF = select(func.coalesce(func.max(_c.id), 0))
_MAPPING_ID = select(mappings.c.id).where(mappings.c.name == bindparam("mapping"))
_NAMED = mappings.c.name == bindparam("name")
_CHECKSUMS = select(checksums).where(checksums.c.mapping_id == _MAPPING_ID.scalar_subquery())


class SqlObservations:
    """`ports.Observations` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        file = self._file = database.sqlite
        self._write_checksums = Upsert(checksums, file=file)
        named = among(mappings.c.name, "mappings", file=file)
        these = checksums.c.mapping_id.in_(select(mappings.c.id).where(named))
        self._any_checksums = select(exists().where(these))
        self._unsettle = (
            update(checksums)
            .where(checksums.c.mapping_id.in_(select(mappings.c.id).where(_NAMED)))
            .values(unsettled=bindparam("packed"))
        )
        self._drop_checksums = delete(checksums).where(these)
        mapping = _MAPPING_ID.scalar_subquery()
        seen = and_(_o.mapping_id == mapping, _o.contact_id == _c.id)
        joined = contacts.outerjoin(observed, seen)
        # A contact with an observation is present; asking its row as well would cost a look-up.
        present = case((_o.fingerprint.is_(None), _c.present), else_=True)
        self._observed = (
            select(_c.external_id, _c.id, present, _o.fingerprint, _o.had_row, _o.place)
            .select_from(joined)
            .where(among(_c.external_id, "keys", file=file))
        )
        absent = select(_c.external_id, _c.id, func.coalesce(_o.had_row, False), _o.place)
        self._unseen = (
            absent.select_from(joined)
            .where(
                among(_c.id, "refs", file=file),
                _c.present,
                or_(_o.fingerprint.is_(None), _o.fingerprint != bindparam("missing")),
            )
            .order_by(_c.id)
        )
        self._lacking = (
            absent.select_from(joined)
            .where(_c.id > bindparam("after"), _c.present, _o.fingerprint.is_(None))
            .order_by(_c.id)
            .limit(PAGE)
        )
        self._in_buckets = (
            select(_o.contact_id)
            .where(
                _o.mapping_id == mapping,
                _o.contact_id > bindparam("after"),
                _o.had_row,
                among(_o.place.bitwise_and(bindparam("mask")), "buckets", file=file),
            )
            .order_by(_o.contact_id)
            .limit(LARGE_PAGE)
        )

    def observed(self, mapping: str, keys: Sequence[str]) -> dict[str, Seen]:
        """Return what is on record for these keys; unknown keys are left out."""
        parameters = {"mapping": mapping, "keys": bound(keys, file=self._file)}
        rows = self._database.rows(self._observed, parameters)
        return {
            key: Seen(ref, present == 1, fingerprint, row == 1, place)
            for key, ref, present, fingerprint, row, place in rows
        }

    def unseen(self, mapping: str, seen: bytearray, missing: bytes) -> Iterator[Sequence[Absent]]:
        """Yield batches of present contacts that a complete read lacked.

        Contact `ref` was read where bit `ref % 8` (1 << it) of byte `ref // 8` is set.
        """
        last = self._database.rows(_LAST_REF)[0][0]
        yield from self._absent(mapping, gaps(seen, last, PAGE), missing)

    def vanished(
        self, mapping: str, seen: bytearray, buckets: Collection[int], bits: int
    ) -> Iterator[Sequence[Absent]]:
        """Yield batches of present contacts whose row was in one of these buckets.

        Left out: those with their bit in `seen`.
        """
        parameters = {
            "mapping": mapping,
            "mask": (1 << bits) - 1,
            "buckets": bound(sorted(buckets), file=self._file),
        }
        after = 0
        while refs := self._database.column(self._in_buckets, {**parameters, "after": after}):
            yield from self._absent(mapping, _pages(refs, seen), b"")
            after = refs[-1]

    def lacking(self, mapping: str) -> Iterator[Sequence[Absent]]:
        """Yield batches of present contacts without any observation of the mapping."""
        after = 0
        while found := self._database.rows(self._lacking, {"mapping": mapping, "after": after}):
            yield [
                Absent(external_id=k, ref=ref, had_row=False, place=None) for k, ref, *_ in found
            ]
            after = found[-1][1]

    def checksums(self, mapping: str) -> Checksums | None:
        """Return what its rows added up to when that was stored; None where nobody knows."""
        rows = self._database.rows(_CHECKSUMS, {"mapping": mapping})
        if not rows:
            return None
        row = rows[0]
        counts, sums = _numbers(row.counts), _numbers(row.sums)
        return Checksums(
            scheme=row.scheme,
            buckets=Buckets(bits=(len(counts) - 1).bit_length(), counts=counts, sums=sums),
            unsettled=frozenset(_numbers(row.unsettled)),
            full_at=row.full_at,
        )

    def record_checksums(self, mapping: str, checksums: Checksums) -> None:
        """Remember what its rows add up to, now that their consequences are stored."""
        buckets = checksums.buckets
        with self._database.write() as connection:
            number = connection.execute(_MAPPING_ID, {"mapping": mapping}).scalar()
            if number is None:
                # All of it was held: there is nothing on record that the sums could stand for.
                return
            row = (
                number,
                checksums.scheme,
                _bytes(buckets.counts),
                _bytes(buckets.sums),
                _bytes(sorted(checksums.unsettled | buckets.unknown)),
                checksums.full_at,
            )
            self._write_checksums(connection, [row])

    def unsettle(self, mapping: str, places: Collection[int]) -> None:
        """Have the buckets of these places looked at next time, whatever they add up to."""
        known = self.checksums(mapping)
        if known is None:
            return
        unsettled = known.unsettled | {known.buckets.bucket(place) for place in places}
        if unsettled == known.unsettled:
            return
        with self._database.write() as connection:
            packed = _bytes(sorted(unsettled))
            connection.execute(self._unsettle, {"name": mapping, "packed": packed})

    def drop_checksums(self, mappings: Collection[str]) -> None:
        """Forget what the rows of these mappings add up to: all will be read."""
        parameters = {"mappings": bound(sorted(mappings), file=self._file)}
        if not self._database.rows(self._any_checksums, parameters)[0][0]:
            return
        with self._database.write() as connection:
            connection.execute(self._drop_checksums, parameters)

    def _absent(
        self, mapping: str, pages: Iterable[Sequence[int]], missing: bytes
    ) -> Iterator[Sequence[Absent]]:
        for refs in pages:
            parameters = {"mapping": mapping, "refs": bound(refs, file=self._file)}
            rows = self._database.rows(self._unseen, {**parameters, "missing": missing})
            if rows:
                yield [_absent(*row) for row in rows]


def _absent(key: str, ref: int, row: object, place: int | None) -> Absent:
    return Absent(external_id=key, ref=ref, had_row=bool(row), place=place)


def _pages(refs: Sequence[int], seen: bytearray) -> Iterator[Sequence[int]]:
    """Yield batches of the refs whose bit is not set."""
    bits = len(seen) * 8
    left = [ref for ref in refs if ref >= bits or not seen[ref // 8] >> ref % 8 & 1]
    for start in range(0, len(left), PAGE):
        yield left[start : start + PAGE]


def _bytes(numbers: Iterable[int]) -> bytes:
    """Return numbers of 64 bits, the same bytes on every machine."""
    packed = array("Q", numbers)
    if sys.byteorder == "big":  # pragma: no cover - a state may move from one kind to the other
        packed.byteswap()
    return packed.tobytes()


def _numbers(packed: bytes) -> "array[int]":
    numbers = array("Q", packed)
    if sys.byteorder == "big":  # pragma: no cover - as above
        numbers.byteswap()
    return numbers
