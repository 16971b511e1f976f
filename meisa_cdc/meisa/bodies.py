"""What a caller gives -> the JSON body of a request, or what is wrong with it before it is sent."""

from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Any, Final

from meisa_cdc.core.errors import InvalidValue
from meisa_cdc.core.values import Value, canonical, canonical_email, canonical_key, email_key
from meisa_cdc.meisa.endpoints import BULK_LIMIT
from meisa_cdc.meisa.errors import FixRequest

Body = dict[str, Value]

UNSENT: Final = "Nothing was sent; correct the call."


def body(**members: Value) -> Body:
    """Return the members that were given: None stands for one that was not."""
    return {name: value for name, value in members.items() if value is not None}


def email(name: str, given: object) -> str:
    """Return the trimmed address. Raises FixRequest unless it looks like one."""
    try:
        return canonical_email(given)
    except InvalidValue as error:
        raise _wrong(name, error) from None


def identifier(name: str, given: str | int | None) -> str | None:
    """Return an id of the caller's own; raises FixRequest where it names nobody."""
    if given is None:
        return None
    try:
        return canonical_key(given)
    except InvalidValue as error:
        raise _wrong(name, error) from None


def word(name: str, given: object) -> str:
    """Return a text that must be there. Raises FixRequest where it is blank, or no text."""
    if not isinstance(given, str) or not given.strip():
        raise FixRequest(f"{name} is not a text, or blank.", hint=UNSENT)
    return str(_json(name, given))


def text(name: str, given: str | None) -> str | None:
    """Return a text that may be left out or empty. Raises FixRequest where it is no text."""
    if given is None:
        return None
    if not isinstance(given, str):
        raise FixRequest(f"{name} is not a text.", hint=UNSENT)
    return str(_json(name, given))


def words(name: str, given: Iterable[str] | None) -> list[Value] | None:
    """Return a list of texts. Raises FixRequest where one is blank, or all are one text."""
    if given is None:
        return None
    if isinstance(given, str):
        raise FixRequest(f"{name} is one text, not a list of them.", hint=UNSENT)
    return [word(f"{name}[{place}]", each) for place, each in enumerate(given)]


def flag(name: str, given: bool | None) -> bool | None:  # noqa: FBT001 - it is the value
    """Return True or False, or None for what is left out. Raises FixRequest for all else."""
    if given is not None and not isinstance(given, bool):
        raise FixRequest(f"{name} is neither True nor False.", hint=UNSENT)
    return given


def record(name: str, given: Mapping[str, Any] | None) -> Body | None:
    """Return names with JSON values: dates in ISO 8601, Decimals as numbers, naive times in UTC.

    Raises FixRequest where a value has no exact JSON form.
    """
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise FixRequest(f"{name} is not a mapping of names to values.", hint=UNSENT)
    return {word(f"a name in {name}", key): _json(f"{name}.{key}", v) for key, v in given.items()}


def addresses(name: str, given: Iterable[str]) -> list[Value]:
    """Return 1 to BULK_LIMIT addresses, each once. Raises FixRequest for fewer or more."""
    if isinstance(given, str):
        raise FixRequest(f"{name} is one text, not a list of them.", hint=UNSENT)
    found: dict[str, Value] = {}
    for place, each in enumerate(given):
        address = email(f"{name}[{place}]", each)
        found.setdefault(email_key(address), address)
    if not found:
        raise FixRequest(f"{name} is empty.", hint=UNSENT)
    if len(found) > BULK_LIMIT:
        raise FixRequest(
            f"{name} holds {len(found)} addresses; a request takes {BULK_LIMIT}.",
            hint="Nothing was sent; make several calls.",
        )
    return list(found.values())


def _json(name: str, given: object) -> Value:
    try:
        return canonical(given, None, UTC)
    except InvalidValue as error:
        raise _wrong(name, error) from None


def _wrong(name: str, error: InvalidValue) -> FixRequest:
    # What follows a semicolon is advice to those who write mappings.
    return FixRequest(f"{name}: {error.message.partition(';')[0]}.", hint=UNSENT)
