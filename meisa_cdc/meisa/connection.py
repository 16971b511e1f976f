"""Sockets that keep one deadline a request and know whether a byte of it has left.

A time-out a read is no deadline: a server that drips a byte now and then restarts it for ever.
And an exception alone does not tell whether Meisa may have seen the request. So each request is
an `Exchange` on its thread, and these sockets measure themselves against it.
"""

import contextlib
import select
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpcore

#: One TLS record: a larger piece could be cut in two by an error, with the first half delivered.
PIECE = 16_384

Timeout = type[httpcore.TimeoutException]
Failure = type[httpcore.NetworkError]


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request under way."""

    #: When it is given up, by `monotonic`, whatever has arrived by then.
    deadline: float
    #: Seconds from any fixed point.
    monotonic: Callable[[], float]
    #: Bytes that the network has taken, what a proxy was asked for before included; None where
    #: nobody counts.
    written: int | None = None
    #: Whether a connection was opened for it, not taken over from an earlier request.
    connected: bool = False

    @property
    def remaining(self) -> float:
        """Seconds until the deadline; negative once it has passed."""
        return self.deadline - self.monotonic()

    def allow(self, seconds: float | None, otherwise: Timeout) -> float:
        """Return how long an operation may take; raise `otherwise` where no time is left."""
        left = self.remaining
        if left <= 0:
            raise otherwise("the total time allowed for the request is over")
        return left if seconds is None else min(left, seconds)


_current: ContextVar[Exchange] = ContextVar("exchange")


@contextlib.contextmanager
def under_way(exchange: Exchange) -> Iterator[None]:
    """Let every socket operation of this thread belong to the exchange."""
    token = _current.set(exchange)
    try:
        yield
    finally:
        _current.reset(token)


class Connection(httpcore.NetworkStream):
    """One open socket, plain or TLS."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has arrived; empty once the other side has closed."""
        exchange = _current.get()
        if exchange.written == 0:
            # The pool reads on after a failed write, for an early refusal. There can be none.
            raise httpcore.ReadError("the connection was closed before its use")
        with _raising(httpcore.ReadTimeout, httpcore.ReadError):
            self._sock.settimeout(exchange.allow(timeout, httpcore.ReadTimeout))
            return self._sock.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it, and count what the network took even where it fails half-way."""
        exchange = _current.get()
        exchange.written = exchange.written or 0
        view = memoryview(buffer)
        with _raising(httpcore.WriteTimeout, httpcore.WriteError):
            while view:
                self._sock.settimeout(exchange.allow(timeout, httpcore.WriteTimeout))
                taken = self._sock.send(view[:PIECE])
                exchange.written += taken
                view = view[taken:]

    def close(self) -> None:
        """Close the socket; a thread that waits for it wakes up."""
        with contextlib.suppress(OSError):  # the other side may have been quicker
            # Not the TLS socket's own method, which takes its state from under a reader.
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
        self._sock.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Return the same connection, encrypted, its certificate checked."""
        exchange = _current.get()
        try:
            with _raising(httpcore.ConnectTimeout, httpcore.ConnectError):
                self._sock.settimeout(exchange.allow(timeout, httpcore.ConnectTimeout))
                return Connection(
                    ssl_context.wrap_socket(self._sock, server_hostname=server_hostname)
                )
        except BaseException:
            self.close()
            raise

    def get_extra_info(self, info: str) -> Any:
        """Return what the connection pool asks about: whether an idle socket was closed."""
        if info == "is_readable":
            return _readable(self._sock)
        return self._sock if info == "socket" else None


class Network(httpcore.NetworkBackend):
    """Opens connections: `resolve` finds the addresses, `new_socket` makes the sockets."""

    def __init__(
        self,
        new_socket: Callable[[int, int, int], socket.socket] = socket.socket,
        resolve: Callable[..., Sequence[tuple[Any, ...]]] = socket.getaddrinfo,
    ) -> None:
        self._new_socket = new_socket
        self._resolve = resolve

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers; each gets its share of the time left."""
        del local_address, socket_options  # the pool hands on what it was given: nothing
        exchange = _current.get()
        exchange.connected = True
        exchange.written = 0
        with _raising(httpcore.ConnectTimeout, httpcore.ConnectError):
            found = self._resolve(host, port, type=socket.SOCK_STREAM)
            for place, (family, kind, protocol, _, address) in enumerate(found, start=1):
                allowed = exchange.allow(timeout, httpcore.ConnectTimeout)
                last = place == len(found)
                sock = self._new_socket(family, kind, protocol)
                try:
                    sock.settimeout(allowed / (len(found) - place + 1))
                    sock.connect(address)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                except OSError:
                    sock.close()
                    if last:
                        raise
                else:
                    return Connection(sock)
        raise httpcore.ConnectError("the name has no address")


@contextlib.contextmanager
def _raising(timeout: Timeout, failure: Failure) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise timeout(str(error)) from error
    except (OSError, UnicodeError) as error:
        raise failure(str(error)) from error


def _readable(sock: socket.socket) -> bool:
    """Tell whether an idle socket has something to say, which can only be that it was closed."""
    if sock.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))
