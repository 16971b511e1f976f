"""JSON values and times as the API compares and writes them."""

from datetime import UTC, datetime


def same_json(one: object, other: object) -> bool:
    """Whether two JSON values are equal; true is not 1, as it is in Python."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    return one == other


def iso(at: float) -> str:
    """Epoch seconds as the API writes times: ISO 8601 in UTC."""
    moment = datetime.fromtimestamp(at, UTC)
    return moment.isoformat(timespec="microseconds" if moment.microsecond else "seconds").replace(
        "+00:00", "Z"
    )


def iso_or_none(at: float | None) -> str | None:
    """As `iso`; None stays None."""
    return None if at is None else iso(at)
