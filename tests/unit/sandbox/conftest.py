"""An account with a hand-set clock, and short ways to send it requests."""

from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from meisa_cdc.sandbox import DEFAULT_API_KEY, Account, SandboxOptions
from meisa_cdc.sandbox.account import Outcome
from meisa_cdc.sandbox.exchange import Arrival

NOON = 1_768_219_200.0  # 2026-01-12T12:00:00Z, the start of a minute and of an hour


@dataclass
class HandSetClock:
    """Epoch seconds that stand still until a test moves them."""

    now: float = NOON

    def __call__(self) -> float:
        """The time it is set to."""
        return self.now


@dataclass
class Desk:
    """One account and its clock, with requests as one-liners."""

    options: SandboxOptions = field(default_factory=lambda: SandboxOptions(limits=()))
    clock: HandSetClock = field(default_factory=HandSetClock)

    def __post_init__(self):
        self.account = Account(self.options, clock=self.clock)

    def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        key: str | None = DEFAULT_API_KEY,
        content_type: str = "application/json",
        query: str = "",
    ) -> Outcome:
        """How a request to this path below the base URL ends."""
        return self.account.answer(
            Arrival(
                method=method,
                path="/api/v1" + path,
                api_key=key,
                content_type=content_type,
                query=query,
                body=body,
            )
        )

    def answer(self, *args: Any, **options: Any) -> tuple[int, Any]:
        """Status and JSON of the reply to `send` with the same arguments."""
        reply = self.send(*args, **options).reply
        assert reply is not None
        return reply.status, reply.document()

    def ping(self, **options: Any) -> tuple[int, Any]:
        """Status and JSON of a ping."""
        return self.answer("GET", "/ping/", **options)

    def upsert(self, **fields: Any) -> tuple[int, Any]:
        """Status and JSON of an upsert with these fields."""
        return self.answer("POST", "/contacts/upsert/", orjson.dumps(fields))

    def fired(self) -> list[str]:
        """Kinds of the triggers that fired, oldest first."""
        return [trigger.kind for trigger in self.account.triggers()]


@pytest.fixture
def desk() -> Desk:
    """An account without limits."""
    return Desk()


@pytest.fixture
def desk_with():
    """Makes an account with the options given; without limits unless they are."""

    def make(**options: Any) -> Desk:
        return Desk(SandboxOptions(**{"limits": (), **options}))

    return make
