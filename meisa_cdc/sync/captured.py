"""What one pass saw of the app database, beside what is in the spool."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from meisa_cdc.core.captures import Capture
from meisa_cdc.core.changelog import Bookmark
from meisa_cdc.core.checksums import Buckets, Checksums
from meisa_cdc.core.contact import field_of
from meisa_cdc.core.diff import Invalid
from meisa_cdc.core.fields import Reading
from meisa_cdc.core.mapping import Column
from meisa_cdc.core.watermark import Watermark

#: A bitmap grows by so many bytes at least.
GROWTH = 4096
#: Contacts that are named to be looked at again; with more, every row is read next time.
MOST_AGAIN = 5_000
#: Up to where changes of a mapping were looked at.
Mark: TypeAlias = Watermark | Bookmark


@dataclass(slots=True, kw_only=True)
class Taken:
    """The checksums of one mapping, to be stored once all that they stand for is."""

    scheme: str
    buckets: Buckets
    full_at: float
    #: Buckets with a row whose consequences are not stored.
    unsettled: set[int] = field(default_factory=set)
    #: A contact's row was in another place, or nobody knows where.
    moved: bool = False
    #: Buckets would not tell all that differs: nothing is stored, and every row read next time.
    void: bool = False

    def unsettle(self, place: int) -> None:
        """Have the bucket of a place looked at next time, whatever it adds up to."""
        self.unsettled.add(self.buckets.bucket(place))

    @property
    def checksums(self) -> Checksums:
        """What is to be stored."""
        return Checksums(
            scheme=self.scheme,
            buckets=self.buckets,
            unsettled=frozenset(self.unsettled) | self.buckets.unknown,
            full_at=self.full_at,
        )


@dataclass(slots=True)
class Marked:
    """The mark of one mapping, to be stored once all that it stands for is."""

    mark: Mark
    #: Contacts with a row whose consequences are not stored; None: too many to name.
    again: set[str] | None = field(default_factory=set)

    def unsettle(self, key: str) -> None:
        """Have the row of a contact looked at next time, whether or not it changes."""
        if self.again is not None:
            self.again.add(key)
            if len(self.again) > MOST_AGAIN:
                self.again = None

    def unsettle_all(self, keys: Iterable[str] | None) -> None:
        """Have the rows of these contacts looked at next time; None: of all."""
        if keys is None:
            self.again = None
            return
        for key in keys:
            self.unsettle(key)

    @property
    def stored(self) -> Mark | None:
        """What is to be stored; None: every row is read next time."""
        return None if self.again is None else replace(self.mark, again=frozenset(self.again))


@dataclass(slots=True, kw_only=True)
class Captured:
    """What one pass saw of the app database, beside what is in the spool."""

    #: The mapping that yields e-mail.
    identity: str
    readings: dict[str, Reading]
    #: Columns of every mapping that could be described, by name.
    columns: dict[str, tuple[Column, ...]]
    #: Mappings of which every row was read, or at least every row that differs.
    complete: set[str] = field(default_factory=set)
    #: Distinct contacts with a row, by complete mapping.
    rows: dict[str, int] = field(default_factory=dict)
    #: Mapping -> what went wrong.
    failures: dict[str, str] = field(default_factory=dict)
    #: Rows without a usable key.
    unkeyed: list[Invalid] = field(default_factory=list)
    #: All of those, also the ones beyond what is listed; by mapping.
    unkeyed_count: dict[str, int] = field(default_factory=dict)
    #: One bit for each contact on record that was read from identity; None: it was not read.
    people: bytearray | None = None
    #: One bit for each contact that identity lost; None where all who were not read are gone.
    lost: bytearray | None = None
    #: Keys of other mappings without a contact.
    orphans: int = 0
    #: By mapping whose checksums were taken.
    taken: dict[str, Taken] = field(default_factory=dict)
    #: Mapping with anything in the spool -> places in the buckets concerned; None: any.
    disturbed: dict[str, set[int] | None] = field(default_factory=dict)
    #: By mapping whose changed rows are found by a time in them, or by a log of changed rows.
    marked: dict[str, Marked] = field(default_factory=dict)
    #: Place up to which the log may be cut off once all is stored; None: it was not read.
    upto: int | None = None
    #: How the changes of each mapping were found, and why in this way.
    captures: dict[str, Capture] = field(default_factory=dict)
    #: Mappings read for some contacts alone, while the checksums on record are older.
    partial: set[str] = field(default_factory=set)

    @property
    def fields(self) -> set[str]:
        """Every field that some mapping yields."""
        return {field_of(column) for each in self.readings.values() for column in each.columns}

    def has(self, ref: int, *, present: bool) -> bool:
        """Tell whether identity, which was read, has a row for a contact on record.

        `present`: it had one before.
        """
        if self.people is None:
            return False
        if is_marked(self.people, ref):
            return True
        return self.lost is not None and present and not is_marked(self.lost, ref)


def mark(bits: bytearray, ref: int) -> bool:
    """Set a contact's bit; return whether it was set before."""
    place, bit = ref >> 3, 1 << (ref & 7)
    if place >= len(bits):
        bits.extend(bytes(place + GROWTH - len(bits)))
    before = bits[place]
    if before & bit:
        return True
    bits[place] = before | bit
    return False


def is_marked(bits: bytearray, ref: int) -> bool:
    """Tell whether a contact's bit is set."""
    place = ref >> 3
    return place < len(bits) and bits[place] & (1 << (ref & 7)) != 0
