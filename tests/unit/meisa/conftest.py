"""A client over a scripted network, with hand-set clocks."""

from collections.abc import Callable
from dataclasses import dataclass

import httpx
import pytest

from meisa_cdc.meisa import HttpMeisa
from meisa_cdc.meisa.key import ApiKey

BASE = "https://meisa.example/api/v1"
CANARY = "meisa_test_canary_4711_must_not_show"


@dataclass
class Hands:
    """A clock that stands still until it is moved."""

    at: float = 1_000.0

    def read(self) -> float:
        """Return the seconds it shows."""
        return self.at


Handler = Callable[[httpx.Request], httpx.Response]
MakeClient = Callable[..., HttpMeisa]


@pytest.fixture
def hands() -> Hands:
    """Return the monotonic clock of the client."""
    return Hands()


@pytest.fixture
def make_client(hands: Hands) -> MakeClient:
    """Return a maker of clients whose requests go to a function."""

    def make(
        handler: Handler, *, base_url: str = BASE, api_key: ApiKey = CANARY, timeout: float = 30.0
    ) -> HttpMeisa:
        return HttpMeisa(
            base_url,
            api_key,
            timeout=timeout,
            monotonic=hands.read,
            now=lambda: 1_800_000_000.0,
            transport=httpx.MockTransport(handler),
        )

    return make
