"""Servers that send too much, too slowly, or elsewhere."""

import gzip
import tracemalloc

import pytest

from meisa_cdc.core.errors import SuppressionFailed

from .conftest import BODY, good
from .scripted_server import Handler, Visit


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_f68_a_redirect_does_not_hand_on_the_key(serve, connect, status):
    """The other host is not even connected to."""
    elsewhere = serve(good)

    def redirecting(visit: Visit) -> None:
        while visit.request():
            visit.answer(b"", status=status, headers=f"Location: {elsewhere.url()}/\r\n")

    client = connect(serve(redirecting).url())
    assert client.upsert(BODY).status == int(status[:3])
    with pytest.raises(SuppressionFailed, match="Redirects are not followed"):
        client.unsubscribed_emails()
    assert elsewhere.visits == 0


def dripping(first: bytes, drip: bytes) -> Handler:
    """Return a handler that sends a byte now and then, for ever."""

    def handler(visit: Visit) -> None:
        visit.request()
        visit.send(first)
        while not visit.over.wait(0.02):
            visit.send(drip)

    return handler


@pytest.mark.parametrize(
    ("first", "drip", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" ", 200),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", 200),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", 0),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0),
    ],
    ids=["body", "chunks", "headers", "continue"],
)
def test_f69_a_server_that_drips_is_cut_off(serve, connect, first, drip, status):
    """Each piece comes in time, the whole never; the deadline is for the whole."""
    server = serve(dripping(first, drip))
    answer = connect(server.url(), timeout=0.3).upsert(BODY)
    assert (answer.status, answer.body, answer.sent) == (status, None, True)
    assert "within 0.3 s" in answer.error


def test_f69_an_answer_without_end_is_cut_off(serve, connect):
    """200 MB were on offer; hardly more than the cap was taken, and little memory."""
    sent: list[int] = []

    def flood(visit: Visit) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n")
        for _ in range(200):
            visit.send(b" " * 1_000_000)
            sent.append(1_000_000)

    server = serve(flood)
    client = connect(server.url())
    tracemalloc.start()
    answer = client.upsert(BODY)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (answer.status, answer.body) == (200, None)
    assert "larger than 1 MiB" in answer.error
    assert sum(sent) < 50_000_000
    assert peak < 10_000_000


def test_f69_a_gzip_bomb_stays_packed(serve, connect):
    """A hundred megabytes of blanks in a hundred kilobytes are neither unpacked nor taken."""
    bomb = gzip.compress(b" " * 100_000_000)

    def bombing(visit: Visit) -> None:
        visit.request()
        visit.answer(bomb, headers="Content-Encoding: gzip\r\n")

    client = connect(serve(bombing).url())
    tracemalloc.start()
    answer = client.upsert(BODY)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (answer.status, answer.body) == (200, None)
    assert "compressed (gzip)" in answer.error
    assert peak < 10_000_000


def test_f69_headers_without_end_are_cut_off(serve, connect):
    """They are not kept without limit either."""

    def header(visit: Visit) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000)

    answer = connect(serve(header).url()).upsert(BODY)
    assert (answer.status, answer.sent) == (0, True)
