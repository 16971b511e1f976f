"""What the use cases ask of everything else: time, the app database, Meisa, temporary room."""

from collections.abc import Iterator, Mapping as Dict, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from meisa_cdc.core.attempt import Standing
from meisa_cdc.core.captures import Capture
from meisa_cdc.core.changelog import Trail
from meisa_cdc.core.checksums import Buckets, Within
from meisa_cdc.core.contact import Claim, Staged
from meisa_cdc.core.mapping import Column, Mapping
from meisa_cdc.core.outcome import Answer


class Clock(Protocol):
    """The one source of time."""

    def now(self) -> float:
        """Return the time in epoch seconds (UTC)."""

    def sleep(self, seconds: float) -> None:
        """Return after that many seconds, or sooner when the process is asked to end."""


class Snapshot(Protocol):
    """One consistent, read-only view of the app database."""

    def columns(self, mapping: Mapping) -> Sequence[Column]:
        """Return what the mapping yields, without reading rows.

        Raises MappingFailed where the database refuses the query, MappingError where we do.
        """

    def read(
        self, mapping: Mapping, keys: Sequence[str] | None = None
    ) -> Iterator[Sequence[Sequence[object]]]:
        """Yield batches of rows in the order of `columns`; with `keys`, of these contacts alone.

        Raises MappingFailed where this mapping cannot be read (the snapshot stays usable),
        SourceUnavailable where the connection is lost.
        """

    def scheme(self, mapping: Mapping) -> str | None:
        """Return what the checksums of a mapping depend on beside its rows.

        None: its rows cannot be added up, or need not. Raises as `columns` does.
        """

    def checksums(self, mapping: Mapping, bits: int, within: Within | None = None) -> Buckets:
        """Return the checksums of all rows, in 2**bits buckets. Raises as `read` does.

        `within`: of the rows in these buckets alone; the others come out as empty.
        """

    def listed(
        self, mapping: Mapping, bits: int, within: Within
    ) -> tuple[Buckets, Dict[int, Sequence[object]]]:
        """Return what `checksums` does, and the keys of the rows by bucket, as rows have them.

        No keys: the database does not list them. Raises as `read` does.
        """

    def placed(
        self,
        mapping: Mapping,
        *,
        keys: Sequence[str] | None = None,
        within: Within | None = None,
    ) -> Iterator[Sequence[Sequence[object]]]:
        """Yield what `read` does, each row followed by its place.

        `within`: only rows in these buckets. Raises as `read` does.
        """

    def capture(self, mapping: Mapping) -> Capture:
        """Return how the mapping's changes are found. Raises as `columns` does."""

    def keys_since(self, mapping: Mapping, wall: str) -> Iterator[Sequence[str]]:
        """Yield batches of the keys of rows that changed at or after a wall clock's time.

        `wall` is written `2026-01-12 08:30:00`. Raises as `read` does.
        """

    def trail(self, mapping: Mapping, since: int | None = None) -> Trail:
        """Return what the log of changed rows tells of a mapping whose capture is LOG.

        `since`: the place of its bookmark. Has to be asked for all mappings before the first
        `changed`. Raises as `columns` does.
        """

    def changed(self, mapping: Mapping, since: int) -> Iterator[Sequence[str]] | None:
        """Return the keys of contacts that the changes in the log may affect, in batches.

        `since`: the place of its bookmark; of what was before, some may be among them.
        None: only a full read tells. Raises as `read` does.
        """

    def upto(self) -> int | None:
        """Return the place up to which the log may be cut off once what was read is stored.

        None: it told nothing; `silence` says why. Raises SourceUnavailable.
        """

    def silence(self) -> str:
        """Return why the log told nothing; "" where it told."""


class Watch(Protocol):
    """An eye on the log of changed rows."""

    def moved(self) -> bool:
        """Tell whether there is something that no pass was shown. Raises SourceUnavailable."""

    def close(self) -> None:
        """Let go of what it holds; the next look takes it up again."""


class Source(Protocol):
    """The app database."""

    def watch(self) -> Watch:
        """Return what looks whether the log of changed rows has something new."""

    def acknowledge(self, upto: int) -> None:
        """Let the log of changed rows forget what lies before a place. Raises SourceUnavailable."""

    def protect(self) -> str | None:
        """Drop our log of changed rows where it keeps too much of the server's disk.

        Returns why, for people, where it did. Raises SourceUnavailable.
        """

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Open one snapshot; what was read counts only once the block has ended without error.

        Raises SourceUnavailable where it cannot be opened, lost or not ended properly.
        """


class Spool(Protocol):
    """A pass's observations that have to be looked at; private, temporary, of any size."""

    def put(self, mapping: str, entries: Sequence[tuple[str, Staged, str]]) -> None:
        """Add (key, observation, email_key or '') entries of one mapping.

        A key that is there already becomes a duplicate that names both rows.
        """

    def touch(self, keys: Sequence[str]) -> None:
        """Make sure these keys are looked at, whether or not anything was observed."""

    def drop(self, mapping: str) -> None:
        """Forget everything of one mapping: its read failed."""

    def having(self, mapping: str, keys: Sequence[str]) -> set[str]:
        """Return those of the keys for which the mapping has a row here."""

    def new_keys(self, mapping: str) -> Iterator[Sequence[str]]:
        """Yield batches of keys of the mapping's rows whose contact had no row before."""

    def claims(self, mapping: str, email_keys: Sequence[str]) -> list[Claim]:
        """Return the contacts observed with these addresses in this pass (`holds` is False)."""

    def addresses(self, mapping: str, keys: Sequence[str]) -> dict[str, str]:
        """Return the case-folded addresses that these contacts were observed with in this pass."""

    def emails(self, mapping: str) -> Iterator[Sequence[str]]:
        """Yield batches of the distinct case-folded addresses seen in this pass."""

    def contacts(self, size: int = 500) -> Iterator[Sequence[tuple[str, dict[str, Staged]]]]:
        """Yield batches of (key, observation by mapping) in code point order of the keys."""

    def close(self) -> None:
        """Delete everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """What Meisa says about the key."""

    product: str
    product_name: str
    environment: str
    #: What the key may do; None: Meisa does not tell.
    scopes: Sequence[str] | None
    per_minute: int | None
    per_hour: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressionList:
    """The list of addresses that must not be e-mailed, whole and checked."""

    #: Epoch seconds, as the list says of itself.
    as_of: float
    #: Lower-cased, distinct addresses.
    emails: frozenset[str]
    #: Entries that were no addresses.
    malformed: int = 0


class Meisa(Protocol):
    """The remote side."""

    def ping(self) -> Ping:
        """Ask about the key. Raises MeisaUnavailable, or Stop where the key is refused."""

    def upsert(self, body: Dict[str, Any]) -> Answer:
        """Create or update one contact. Never raises for what the network or the server does."""

    def remove_tag(self, contact_id: str, body: Dict[str, Any]) -> Answer:
        """Take a tag from a contact, by Meisa's id of it. Never raises, as `upsert`."""

    def track_event(self, body: Dict[str, Any]) -> Answer:
        """Record one event of a contact; like `upsert` it never raises."""

    def trigger_email(self, body: Dict[str, Any]) -> Answer:
        """Send one triggered e-mail; like `upsert` it never raises."""

    def bulk_enroll(self, body: Dict[str, Any]) -> Answer:
        """Enrol addresses in a sequence; like `upsert` it never raises."""

    def sequence_statuses(self) -> Dict[str, str]:
        """Return the status of each sequence by its slug. Raises as `ping`."""

    def unsubscribed_emails(self) -> SuppressionList:
        """Return the list. Raises SuppressionFailed where it is not whole."""


class SuppressionTable(Protocol):
    """The app's table of suppressed addresses."""

    def replace(
        self, pulled: SuppressionList, *, now: float, max_release: float, approve: str = ""
    ) -> "SuppressionResult":
        """Make the table equal the list in one transaction, held releases aside.

        Raises SuppressionFailed; the table then keeps its contents.
        """

    def standing(self, emails: Sequence[str]) -> Standing:
        """Return which of these addresses must not be e-mailed, and how old the list is.

        Raises SuppressionFailed where the table cannot be read.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressionResult:
    """What a pull did to the table."""

    count: int
    added: int
    released: int
    #: Releases held back until someone approves `digest`.
    held: int
    digest: str
    as_of: float
    malformed: int = 0
