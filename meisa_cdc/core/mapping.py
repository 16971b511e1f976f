"""What a mapping declares, and what must hold over a set of them."""

from collections.abc import Iterable, Mapping as Dict, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

from meisa_cdc.core.contact import EMAIL, KEY_COLUMN, TAGS, UNSET, Unset, field_of
from meisa_cdc.core.errors import MappingError
from meisa_cdc.core.policy import Policy
from meisa_cdc.core.values import FieldType, Value

CONTACTS = "contacts"
TAG = "tags"
EVENTS, EMAILS, SEQUENCES = "events", "emails", "sequences"
KINDS = (CONTACTS, TAG, EVENTS, EMAILS, SEQUENCES)
#: Their rows are occurrences: each is done once at Meisa and never compared.
ONCE = (EVENTS, EMAILS, SEQUENCES)
#: A missing row leaves the field as it was last sent.
KEEP = "keep"


class Priority(IntEnum):
    """How soon a difference should reach Meisa; the lower rank goes first."""

    URGENT = 0
    NORMAL = 1
    BACKGROUND = 2


PRIORITIES: dict[str, Priority] = {p.name.lower(): p for p in Priority}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSettings:
    """How one field of a mapping is read and compared."""

    #: Cast of the column before anything else.
    type: FieldType | None = None
    #: What the field is when a complete read had no row for the contact; `KEEP` through `keep`.
    missing: Value = None
    #: A missing row leaves the field alone.
    keep: bool = False
    #: What NULL means: a value to send, or nothing at all. None: by the kind of field.
    null: Literal["send", "skip"] | None = None
    #: Overrides the mapping's.
    priority: Priority | None = None
    #: When a difference is worth a request.
    policy: Policy = field(default_factory=Policy)


#: Of every column that its mapping says nothing about.
USUAL = FieldSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """One SQL file of the mappings folder, as its author wrote it."""

    #: Path without the ending, `contacts/plan`.
    name: str
    #: One of KINDS.
    kind: str = CONTACTS
    #: The Jinja template as it stands in the file.
    text: str
    #: Fingerprint of the file's contents, hex.
    digest: str
    #: The comment at the top of the file.
    purpose: str = ""
    #: Seconds between reads; None where `cron` says when, or the default holds.
    every: float | None = None
    #: Five-field cron expression, or empty.
    cron: str = ""
    priority: Priority = Priority.NORMAL
    #: How changes are found, as its author asks for it: `auto`, `scan`, `checksum`.
    capture: str = "auto"
    #: Seconds a read may take; None: as the settings say.
    timeout: float | None = None
    enabled: bool = True
    #: An event whose outcome is not known may be tracked again; otherwise a person decides.
    at_least_once: bool = False
    #: Occurrences that are there at the first run happen as well, instead of counting as done.
    backfill: bool = False
    #: Settings by column name.
    fields: Dict[str, FieldSettings] = field(default_factory=dict)
    #: Columns known from the SQL text, in order; empty where only the database knows (`*`).
    columns: tuple[str, ...] = ()

    def settings_of(self, column: str) -> FieldSettings:
        """Return the settings of a column, the defaults where it has none."""
        return self.fields.get(column, USUAL)

    def priority_of(self, column: str) -> Priority:
        """Return how soon a difference in this column should reach Meisa."""
        own = self.settings_of(column).priority
        return self.priority if own is None else own


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column that a mapping yields, as its database describes it."""

    name: str
    #: Family of its SQL type (`integer`, `number`, `text`, …); empty where the engine has none.
    type: str = ""


def kind_of(name: str) -> str:
    """Return the kind of the mapping with this name."""
    return name.partition("/")[0]


def null_is_sent(mapping: Mapping, column: str) -> bool:
    """Tell whether NULL in this column is a value to send."""
    declared = mapping.settings_of(column).null
    if declared is not None:
        return declared == "send"
    return field_of(column).startswith("custom_fields.")


def missing_value(mapping: Mapping, column: str) -> Value | Unset:
    """Return what the field becomes when the mapping had no row; UNSET where it is kept."""
    settings = mapping.settings_of(column)
    return UNSET if settings.keep else settings.missing


def check_columns(mapping: Mapping, columns: Sequence[str]) -> None:
    """Raise MappingError unless these columns can be a contacts mapping's."""
    seen: set[str] = set()
    for column in columns:
        if column in seen:
            raise MappingError(f"the column {column!r} occurs twice", mapping=mapping.name)
        seen.add(column)
    if KEY_COLUMN not in seen:
        raise MappingError(
            f"no column is called {KEY_COLUMN}",
            mapping=mapping.name,
            hint=f"Name the key: select u.id as {KEY_COLUMN}, …",
        )
    for column in columns:
        if column.startswith(TAGS) and column != mapping.name:
            raise MappingError(f"a column cannot be called {column!r}", mapping=mapping.name)
    if len(seen) == 1:
        raise MappingError("there is no column beside the key", mapping=mapping.name)
    for column in mapping.fields:
        if column not in seen or column == KEY_COLUMN:
            raise MappingError(
                f"config has settings for {column!r}, which is not a field of the query",
                mapping=mapping.name,
            )


def check_set(columns: Dict[str, Sequence[str]]) -> str:
    """Return the name of the mapping that yields e-mail; `columns` by mapping name.

    Raises MappingError where none or several do, or where two mappings yield one field.
    """
    owner: dict[str, str] = {}
    for name, names in columns.items():
        for column in names:
            if column == KEY_COLUMN:
                continue
            other = owner.setdefault(column, name)
            if other != name:
                raise MappingError(
                    f"{field_of(column)} comes from {other} already",
                    mapping=name,
                    hint="A field has one mapping; remove the column from one of the two.",
                )
    if EMAIL not in owner:
        raise MappingError(
            "no mapping in contacts/ yields the column email",
            hint="Exactly one has to: it decides which contacts exist.",
        )
    return owner[EMAIL]


def named(mappings: Iterable[Mapping]) -> dict[str, Mapping]:
    """Return the mappings by name, in order."""
    return {mapping.name: mapping for mapping in sorted(mappings, key=lambda m: m.name)}
