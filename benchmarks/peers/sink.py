"""A server that takes every contact at once and knows what it took; `python -m ….peers.sink`."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from typing import Any

import httpx
import orjson

from benchmarks.answering import Answering, accepted, answer_of, serve, served

UPSERT = b"POST /contacts/upsert/ "
TAKEN = "/taken/"
#: What our program asks besides: who the key belongs to, and whom not to write to.
ANSWERS: dict[bytes, dict[str, Any]] = {
    b"GET /ping/ ": {
        "status": "ok",
        "api_key": {
            "name": "benchmark",
            "environment": "test",
            "scopes": ["contacts:read", "contacts:write"],
        },
        "product": {"id": "benchmark", "name": "Benchmark"},
    },
    b"GET /contacts/api/unsubscribed-emails/ ": {
        "as_of": "2026-01-01T00:00:00Z",
        "count": 0,
        "emails": [],
    },
}
#: Says where a contact comes from; only we send it.
NOT_COMPARED = "source"
CUSTOM = "custom_fields"


@dataclass(slots=True)
class Store:
    """What all connections brought."""

    requests: int = 0
    #: external_id -> what is known.
    contacts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def upsert(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a contact as it is with this body; what the body does not name stays."""
        contact = self.contacts.setdefault(body["external_id"], {CUSTOM: {}})
        contact |= body | {CUSTOM: contact[CUSTOM] | body.get(CUSTOM, {})}
        return contact

    def taken(self) -> dict[str, Any]:
        """Return the counts, and a digest that is the same for the same contacts."""
        digest = blake2b(digest_size=16)
        for key in sorted(self.contacts):
            compared = {k: v for k, v in self.contacts[key].items() if k != NOT_COMPARED}
            digest.update(orjson.dumps(plain(compared), option=orjson.OPT_SORT_KEYS))
        return {
            "requests": self.requests,
            "contacts": len(self.contacts),
            "digest": digest.hexdigest(),
        }


def plain(value: Any) -> Any:
    """Return a value in which 1.0 is 1."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Connection(Answering):
    """One connection to the store."""

    def __init__(self, store: Store) -> None:
        super().__init__(latency=0.0)
        self._store = store

    def answer(self, head: bytes, body: bytes) -> bytes:
        """Take what came."""
        if head.startswith(f"GET {TAKEN} ".encode()):
            return answer_of(self._store.taken())
        self._store.requests += 1
        if head.startswith(UPSERT):
            return accepted(self._store.upsert(orjson.loads(body)))
        return answer_of(next(each for path, each in ANSWERS.items() if head.startswith(path)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a sink took since it was started."""

    requests: int
    contacts: int
    digest: str


@dataclass(frozen=True, slots=True)
class Sink:
    """A sink that runs in a process of its own."""

    base_url: str

    def taken(self) -> Taken:
        """Return what it took."""
        answer = httpx.get(f"{self.base_url}{TAKEN}", trust_env=False, timeout=60.0)
        return Taken(**answer.raise_for_status().json())


@contextmanager
def new_sink() -> Iterator[Sink]:
    """Yield one that took nothing yet."""
    with served("benchmarks.peers.sink") as url:
        yield Sink(url)


if __name__ == "__main__":
    asyncio.run(serve(partial(Connection, Store())))
