"""Settings as people write them: text in, typed value out, ValueError with what to write."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, time
from difflib import get_close_matches
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from meisa_cdc.core.budget import parse_windows
from meisa_cdc.core.durations import duration, share
from meisa_cdc.core.sizes import parse_size

IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,39}")
TABLE = re.compile(r"[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*)?")
LAST_PORT = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """Where our own web server listens."""

    #: Name or address, without brackets.
    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address means this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def text_of(raw: object, example: str) -> str:
    """Return the text itself. Raises ValueError for numbers, lists and the like."""
    if not isinstance(raw, str):
        message = f"{_shown(raw)} has to be a text; write {example}"
        raise ValueError(message)  # noqa: TRY004 - pydantic collects ValueError alone
    return raw.strip()


def parse_seconds(raw: object) -> float:
    """Return the seconds of a duration above zero."""
    seconds = duration(text_of(raw, '"30s", "5m" or "1h"'))
    if seconds <= 0:
        message = "this has to be longer than nothing"
        raise ValueError(message)
    return seconds


def parse_share(raw: object) -> float:
    """Return 0.1 for `10%`."""
    return share(text_of(raw, '"10%"'))


def parse_reserve(raw: object) -> float:
    """Return a share that leaves something for us."""
    reserve = parse_share(raw)
    if reserve >= 1:
        message = "this would leave no request for us; write less than 100%"
        raise ValueError(message)
    return reserve


def parse_limits(raw: object) -> tuple[tuple[int, float], ...]:
    """Return ((count, seconds), …)."""
    return parse_windows(text_of(raw, '"60/60s,1000/3600s"'))


def parse_count(least: int) -> Callable[[object], int]:
    """Return a parser of whole numbers from `least` on."""

    def parse(raw: object) -> int:
        text = raw.strip() if isinstance(raw, str) else str(raw)
        if isinstance(raw, bool | float) or not text.isdecimal() or int(text) < least:
            message = f"{_shown(raw)} is not a whole number from {least} on"
            raise ValueError(message)
        return int(text)

    return parse


def parse_identifier(raw: object) -> str:
    """Return a name that needs no quotes in SQL, and leaves room for more behind it."""
    text = text_of(raw, '"meisa_cdc"')
    if not IDENTIFIER.fullmatch(text):
        message = f"{_shown(text)} is no plain name; write a-z, 0-9 and _, at most 40 of them"
        raise ValueError(message)
    return text


def parse_bytes(raw: object) -> int:
    """Return the bytes of a size above zero."""
    size = parse_size(text_of(raw, '"512MB" or "2GB"'))
    if size <= 0:
        message = "this has to be more than nothing"
        raise ValueError(message)
    return size


def parse_switch(raw: object) -> bool:
    """Return what `true` or `false` say."""
    if isinstance(raw, bool):
        return raw
    said = {"true": True, "false": False}.get(str(raw).strip().lower())
    if said is None:
        message = f"{raw!r} is neither true nor false"
        raise ValueError(message)
    return said


def parse_choice(*choices: str) -> Callable[[object], str]:
    """Return a parser that takes exactly these words."""

    def parse(raw: object) -> str:
        if raw not in choices:
            message = f"{_shown(raw)} is not possible; write {' or '.join(choices)}"
            raise ValueError(message)
        return str(raw)

    return parse


def parse_base_url(raw: object) -> str:
    """Return Meisa's address without a slash at the end; plain http only to this machine."""
    text = text_of(raw, '"https://…"').rstrip("/")
    try:
        url = urlsplit(text)
        port_is_bad = url.port == 0
    except ValueError:
        port_is_bad = True
    if port_is_bad or url.scheme not in ("http", "https") or not url.hostname or " " in text:
        message = "this is not a web address; write https://host/path"
        raise ValueError(message)
    if url.username is not None or url.password is not None or url.query or url.fragment:
        message = "an address has no user, password, ? or # here; write https://host/path"
        raise ValueError(message)
    if url.scheme == "http" and not is_loopback(url.hostname):
        message = f"plain http would show the API key to the network; write https://{url.hostname}…"
        raise ValueError(message)
    return text


def parse_bind(raw: object) -> Bind:
    """Return host and port of `127.0.0.1:8787` or `[::1]:8787`."""
    text = text_of(raw, '"127.0.0.1:8787"')
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host.removeprefix("[").removesuffix("]")
    plain = _is_address(host) if bracketed else re.fullmatch(r"[\w.-]+", host)
    if not colon or not plain or not port.isdecimal() or int(port) > LAST_PORT:
        message = f"{text!r} is not HOST:PORT; write 127.0.0.1:8787"
        raise ValueError(message)
    return Bind(host=host, port=int(port))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def parse_table(raw: object) -> str:
    """Return the name of a table, perhaps with its schema."""
    text = text_of(raw, '"meisa_suppressed_emails"')
    if not TABLE.fullmatch(text):
        message = f"{text!r} is not the name of a table; write table or schema.table"
        raise ValueError(message)
    return text


def parse_timezone(raw: object) -> ZoneInfo:
    """Return the zone of an IANA name."""
    text = text_of(raw, '"Europe/Paris"')
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        nearest = nearest_zone(text)
        meant = f"; did you mean {nearest}?" if nearest else "; write UTC or Europe/Paris"
        message = f"{text!r} is not a time zone{meant}"
        raise ValueError(message) from None


def nearest_zone(text: str) -> str:
    """Return the zone whose name is most like the text, by its city too; empty if none is."""
    by_spelling: dict[str, str] = {}
    for zone in sorted(_zones()):
        by_spelling.setdefault(zone.rpartition("/")[2].lower(), zone)
        by_spelling[zone.lower()] = zone
    wanted = text.lower().replace(" ", "_")
    found = get_close_matches(wanted, by_spelling, n=1, cutoff=0.7)
    return by_spelling[found[0]] if found else ""


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def parse_folder(raw: object, base: Path) -> Path:
    """Return a folder, absolute; a relative one starts at `base`."""
    text = text_of(raw, '"mappings"')
    if not text or "\x00" in text:
        message = "this is not the name of a folder"
        raise ValueError(message)
    return base / text


def parse_variable(raw: object) -> object:
    """Return what a mapping's query can be given as it is."""
    plain = str | int | float | bool | date | time
    if isinstance(raw, plain) or (
        isinstance(raw, list) and all(isinstance(each, plain) for each in raw)
    ):
        return raw
    message = "a variable is a text, number, date, true or false, or a list of these"
    raise ValueError(message)


def _shown(raw: object) -> str:
    text = repr(raw)
    return text if len(text) < 60 else text[:59] + "…"  # noqa: PLR2004 - room on one line
