"""Old list, new list -> what changes in the suppression table, or why not."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from meisa_cdc.core.errors import InvalidValue, SuppressionFailed
from meisa_cdc.core.values import MAX_EMAIL_LENGTH, canonical_email

#: Fewer releases than this are never held, whatever their share.
LEAST_HELD = 10


class PullFailed(SuppressionFailed):
    """The list did not come, or not whole; the table keeps its contents, a later pull may do."""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        status: int = 0,
        retry_after: float | None = None,
        sent: bool = True,
    ) -> None:
        super().__init__(message, hint=hint)
        #: HTTP status; 0 where none arrived.
        self.status = status
        #: Seconds that the server asked us to wait, not clamped; None where it did not.
        self.retry_after = retry_after
        #: Whether at least one byte of the request left this machine.
        self.sent = sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a pulled list does to the table."""

    #: Addresses to insert, sorted.
    added: Sequence[str]
    #: Addresses to delete, sorted.
    released: Sequence[str]
    #: How many releases are held back until someone approves `digest`.
    held: int
    #: Names exactly the held releases; empty where none are held.
    digest: str
    #: Addresses in the table afterwards.
    count: int


def decide(
    known: Iterable[str], listed: frozenset[str], *, max_release: float, approve: str = ""
) -> Decision:
    """Return what changes in a table of `known` addresses, read once, for the list to hold.

    A list that would release more than `max_release` (0..1) of the table, and at least
    LEAST_HELD addresses, releases none of them, unless `approve` is the digest of just these:
    a list cut short over there must not let us e-mail people who asked us not to.
    """
    added = set(listed)
    gone: list[str] = []
    before = 0
    for address in known:
        before += 1
        if address in listed:
            added.discard(address)
        else:
            gone.append(address)
    gone.sort()
    suspicious = len(gone) >= LEAST_HELD and len(gone) > max_release * before
    digest = digest_of(gone) if suspicious else ""
    held = suspicious and approve != digest
    released = [] if held else gone
    return Decision(
        added=sorted(added),
        released=released,
        held=len(gone) if held else 0,
        digest=digest if held else "",
        count=before + len(added) - len(released),
    )


def digest_of(released: Iterable[str]) -> str:
    """Return the digest that approves the release of these addresses, given in order."""
    digest = hashlib.blake2b(b"suppression release", digest_size=8)
    for address in released:
        digest.update(address.encode() + b"\n")
    return digest.hexdigest()


def whole(body: object) -> tuple[float, Sequence[object]]:
    """Return (as_of in epoch seconds, entries) of a suppression list's JSON body.

    Raises PullFailed unless it is an object with a time, a list, and a count that is the list's
    length. A list that does not know its own age is refused like one cut short: the app decides
    by that age whether to trust the table.
    """
    if not isinstance(body, dict):
        raise _not_whole("it is not an object")
    entries, count = body.get("emails"), body.get("count")
    if not isinstance(entries, list):
        raise _not_whole("emails is not a list")
    if type(count) is not int or count != len(entries):
        raise _not_whole(f"count says {str(count)[:20]}, it holds {len(entries)} addresses")
    return _moment(body.get("as_of")), entries


def addresses(entries: Iterable[object]) -> tuple[frozenset[str], int]:
    """Return the distinct lower-cased addresses, and how many entries are none."""
    found: set[str] = set()
    malformed = 0
    for entry in entries:
        address = _address(entry)
        if address is None:
            malformed += 1
        else:
            found.add(address)
    return frozenset(found), malformed


def _address(entry: object) -> str | None:
    if not isinstance(entry, str):
        return None
    try:
        address = canonical_email(entry).lower()
        address.encode()
    except (InvalidValue, UnicodeEncodeError):
        return None
    # A few letters grow in lower case.
    return address if len(address) <= MAX_EMAIL_LENGTH else None


def _moment(text: object) -> float:
    if isinstance(text, str):
        try:
            moment = datetime.fromisoformat(text.strip())
            # Without an offset it can only be meant as UTC, as all other times of the API.
            aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return aware.astimezone(UTC).timestamp()
        except (ValueError, OverflowError):
            pass
    raise _not_whole("as_of is not a time")


def _not_whole(why: str) -> PullFailed:
    return PullFailed(
        f"The suppression list is not whole: {why}.",
        hint="The table keeps its contents; the next pull tries again.",
        status=200,
    )
