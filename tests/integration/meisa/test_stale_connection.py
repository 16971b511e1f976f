"""Connections that were closed while nobody looked."""

import socket
import threading
from typing import Any

from meisa_cdc.meisa.connection import Network
from meisa_cdc.meisa.pool import PoolTransport

from .conftest import BODY, CONTACT, Connect, Serve, good, trusting
from .scripted_server import Visit


def test_f74_a_connection_closed_between_requests_is_replaced(serve, connect):
    """The server has hung up meanwhile; the next request does not notice."""
    closed = threading.Event()

    def once(visit: Visit) -> None:
        visit.request()
        visit.answer(CONTACT)
        visit.sock.shutdown(socket.SHUT_RDWR)
        visit.sock.close()
        closed.set()

    server = serve(once)
    client = connect(server.url())
    for number in (1, 2, 3):
        assert client.upsert(BODY).status == 200
        assert closed.wait(20)
        closed.clear()
        assert (server.visits, len(server.requests)) == (number, number)


class Fragile(socket.socket):
    """A socket whose connection turns out to be dead as soon as it is written to again."""

    #: Sockets made so far.
    made: int = 0
    #: Bytes the first socket takes before it breaks.
    takes: int = 0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        type(self).made += 1
        self.first = type(self).made == 1
        self.left = type(self).takes

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Take a few bytes, then break."""
        if not self.first:
            return super().send(data, flags)
        if self.left <= 0:
            raise BrokenPipeError(32, "Broken pipe")
        taken = super().send(memoryview(data)[: self.left], flags)
        self.left -= taken
        return taken


def fragile(takes: int) -> type[Fragile]:
    """Return a kind of socket of which the first breaks after so many bytes."""
    return type("Broken", (Fragile,), {"made": 0, "takes": takes})


def size_of_a_request(serve: Serve, connect: Connect) -> int:
    """Return the bytes of one upsert to a port of five digits."""
    server = serve(good)
    connect(server.url()).upsert(BODY)
    return len(server.requests[0])


def over(kind: type[Fragile]) -> PoolTransport:
    """Return a transport on such sockets."""
    return PoolTransport(tls=trusting(), network=Network(kind))


def test_f74_a_dead_connection_is_retried_where_no_byte_went_out(serve, connect):
    """It looked alive, and broke at the first byte of the second request: sent anew, once."""
    size = size_of_a_request(serve, connect)
    server = serve(good)
    client = connect(server.url(), transport=over(fragile(size)))
    assert [client.upsert(BODY).status, client.upsert(BODY).status] == [200, 200]
    assert (server.visits, len(server.requests)) == (2, 2)


def test_f74_a_dead_connection_is_not_retried_once_a_byte_went_out(serve, connect):
    """A part of the request had left; nobody knows what became of it."""

    def listening(visit: Visit) -> None:
        visit.request()
        visit.answer(CONTACT)
        visit.sock.recv(1)

    size = size_of_a_request(serve, connect)
    server = serve(listening)
    client = connect(server.url(), transport=over(fragile(size + 1)))
    assert client.upsert(BODY).status == 200
    answer = client.upsert(BODY)
    assert (answer.status, answer.sent) == (0, True)
    assert server.visits == 1


def test_f74_a_new_connection_that_breaks_is_not_retried_at_once(serve, connect):
    """Only a kept connection can be stale; anything else waits its turn."""
    server = serve(good)
    client = connect(server.url(), transport=over(fragile(0)))
    answer = client.upsert(BODY)
    assert (answer.status, answer.sent) == (0, False)
    assert server.requests == []
