"""What came back, read with suspicion: JSON bodies, and how long the server asks us to wait."""

import math
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import orjson

from meisa_cdc.core.outcome import Answer


def retry_after(text: str | None, now: float) -> float | None:
    """Return the seconds a Retry-After header asks for; None where it says nothing usable.

    `now` is in epoch seconds; a date in the past yields a negative figure.
    """
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        return _until(text, now)
    return seconds if math.isfinite(seconds) else None


def _until(text: str, now: float) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp() - now
    except (ValueError, OverflowError):
        return None


def json_body(headers: httpx.Headers, raw: bytes | bytearray) -> tuple[Any, str]:
    """Return (value, '') of a JSON body, else (None, what it is instead)."""
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding not in {"", "identity"}:
        # It was not asked for, and unpacking is how a small answer becomes a large one.
        return None, f"the answer is compressed ({encoding[:20]})"
    if not raw.strip():
        return None, "the answer is empty"
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None, f"the answer is not JSON but {_kind(headers)}"
    return value, "" if value is not None else "the answer is null"


def _kind(headers: httpx.Headers) -> str:
    kind = headers.get("content-type", "").partition(";")[0].strip()
    return f"{kind[:60]}, or cut off" if kind else "something else"


def told(answer: Answer, most: int = 200) -> str:
    """Return what an answer says in one line."""
    if not answer.status:
        return answer.error or "no answer"
    body = answer.body
    said = (
        body.get("detail") or body.get("message") or body.get("error")
        if isinstance(body, dict)
        else None
    )
    text = said if isinstance(said, str) else answer.error
    line = " ".join(text.split())[:most].rstrip(".")
    return f"HTTP {answer.status}, {line}" if line else f"HTTP {answer.status}"
