"""A client on the real network, and servers that do what a test says."""

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from meisa_cdc.meisa import HttpMeisa

from .scripted_server import Handler, ScriptedServer, Visit

CANARY = "meisa_test_canary_0815_must_not_show"
BODY = {"email": "a@example.com", "external_id": "1"}
CONTACT = b'{"id": "c-1", "email": "a@example.com", "external_id": "1"}'
TLS = Path(__file__).parents[2] / "data" / "tls"

Serve = Callable[..., ScriptedServer]
Connect = Callable[..., HttpMeisa]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Close clients before the servers they talk to."""
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def serve(stack: ExitStack) -> Serve:
    """Return a starter of servers."""

    def start(handler: Handler, tls: ssl.SSLContext | None = None) -> ScriptedServer:
        return stack.enter_context(ScriptedServer(handler, tls))

    return start


@pytest.fixture
def connect(stack: ExitStack) -> Connect:
    """Return a maker of clients on the real network and clock."""

    def make(base_url: str, *, timeout: float = 20.0, **options: Any) -> HttpMeisa:
        client = HttpMeisa(
            base_url,
            options.pop("api_key", CANARY),
            timeout=timeout,
            monotonic=time.monotonic,
            now=time.time,
            **options,
        )
        return stack.enter_context(client)

    return make


def good(visit: Visit) -> None:
    """Answer every request of a connection well."""
    while visit.request():
        visit.answer(CONTACT)


def trusting() -> ssl.SSLContext:
    """Return a client's context that trusts the test authority alone."""
    return ssl.create_default_context(cafile=TLS / "authority.pem")
