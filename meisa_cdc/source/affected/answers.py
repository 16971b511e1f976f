"""What is asked about a mapping and what comes back: plain values."""

from collections.abc import Collection, Mapping as Dict, Sequence
from dataclasses import dataclass
from typing import TypeAlias

#: Rows of the changed table: the images before and after.
CHANGED = "changed"
#: Images before the change alone, of any table that the query goes through.
OLD = "old"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A plain table, as the catalogue has it."""

    #: Full name, quoted where it has to be: goes into SQL as it is.
    name: str
    #: Name -> type, as it is written in SQL.
    columns: Dict[str, str]
    #: Columns whose equal values may be different keys to us, such as `a` and `A`.
    loose: Collection[str] = ()
    #: Columns whose equal values may have different texts, such as 1.0 and 1.00; those, too.
    spelled: Collection[str] = ()
    #: Columns of which changed rows tell only whether they changed.
    blind: Collection[str] = ()
    #: Columns that conditions on them say nothing about, since their values may be compared in
    #: another way than the images of them.
    opaque: Collection[str] = ()
    #: Where the database itself keeps images of its rows: a table, quoted where it has to be.
    kept: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """What the database says of the names in a query."""

    #: Name as the query has it, without quotes and in the case that the database takes it for,
    #: -> its shape; views and the like are missing.
    tables: Dict[str, Shape]
    #: Functions that make one value of one row: no aggregates.
    rowwise: Collection[str] = ()
    #: Those of them that always yield the same for the same arguments.
    plain: Collection[str] = ()
    #: Functions that may read tables.
    opaque: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FullScan:
    """Nothing less than reading the whole mapping will do."""

    #: Why, as the end of a sentence that begins with "since".
    reason: str
    #: How to rewrite the mapping.
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyColumns:
    """The keys stand in the changed rows themselves."""

    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """One column of changed rows; as a parameter, an array of texts."""

    #: Full name of the table.
    table: str
    #: CHANGED or OLD.
    which: str
    column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A parameter: one of the values that the mapping itself binds."""

    #: As its placeholder has it: the first is 1 on Postgres, a name elsewhere.
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRows:
    """A parameter: columns of changed rows, as an array of arrays of texts."""

    #: Full name of the table.
    table: str
    #: CHANGED or OLD.
    which: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Since:
    """A parameter: the place in a log behind which its images count."""


Parameter: TypeAlias = Images | ImageRows | Bound | Since


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyQuery:
    """A query that yields the keys, in their own type, none of them twice."""

    text: str
    #: What its placeholders stand for, in order.
    parameters: tuple[Parameter, ...]
    #: All columns of changed rows that it reads, whether or not they are parameters.
    images: tuple[Images, ...]


Answer: TypeAlias = KeyColumns | KeyQuery | FullScan


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRead:
    """A table that a mapping reads."""

    #: Full name; of what is no plain table, the name in the mapping.
    table: str
    #: Columns that the result may depend on. A change of others changes nothing.
    columns: tuple[str, ...]
    #: How the keys are found that a changed row of it affects.
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """What the changed rows of each table do to a mapping."""

    tables: tuple[TableRead, ...]
    #: Why no change of any table tells enough, not even of those that are known.
    scan: FullScan | None = None
    #: What makes rows change though no data does, such as `current_date`: scans are needed too.
    unsteady: Sequence[str] = ()


class Beyond(Exception):
    """The query does what cannot be derived; carries the answer."""

    def __init__(self, answer: FullScan) -> None:
        super().__init__(answer.reason)
        self.answer = answer
