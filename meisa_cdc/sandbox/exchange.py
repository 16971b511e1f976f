"""What goes over the wire: a request as it arrived, a reply as it leaves."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

JSON_HEADERS: Mapping[str, str] = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One HTTP request to the API, read whole."""

    #: upper case
    method: str
    #: as sent, without the query
    path: str
    #: the query as sent, without the question mark
    query: str = ""
    #: the X-API-Key header, None if absent
    api_key: str | None = field(default=None, repr=False)
    #: the Content-Type header, empty if absent
    content_type: str = ""
    #: as sent
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One HTTP answer, whole."""

    #: HTTP status
    status: int
    #: the exact bytes
    body: bytes
    #: names in lower case; Content-Length is added on the wire
    headers: Mapping[str, str] = field(default_factory=lambda: JSON_HEADERS)

    def document(self) -> object:
        """The body as JSON; None if it is not JSON."""
        return read_json(self.body)


def json_reply(status: int, document: object, headers: Mapping[str, str] | None = None) -> Reply:
    """A reply that carries the document as JSON."""
    return Reply(
        status=status,
        body=orjson.dumps(document),
        headers={**JSON_HEADERS, **(headers or {})},
    )


def read_json(body: bytes) -> object:
    """What the bytes say in JSON; None if they say nothing."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
