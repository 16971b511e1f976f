"""A loopback server that does to each connection exactly what a test says."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

Handler = Callable[["Visit"], None]


@dataclass
class Visit:
    """One connection of a client."""

    sock: socket.socket
    #: 1 for the server's first connection.
    number: int
    #: Set when the test is over; what would wait for ever waits for this.
    over: threading.Event
    requests: list[bytes]

    def request(self) -> bytes:
        """Read one whole request and put it on record; empty where the client has closed."""
        raw = b""
        while b"\r\n\r\n" not in raw:
            piece = self.sock.recv(65_536)
            if not piece:
                return b""
            raw += piece
        head, _, body = raw.partition(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        while len(body) < length:
            body += self.sock.recv(65_536)
        self.requests.append(head + b"\r\n\r\n" + body)
        return self.requests[-1]

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.sock.sendall(data)

    def answer(self, body: bytes, *, status: str = "200 OK", headers: str = "") -> None:
        """Send a whole answer."""
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        self.send(head.encode() + body)

    def reset(self) -> None:
        """Close with a reset instead of a goodbye."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


@dataclass
class ScriptedServer:
    """Listens on a free loopback port; each connection runs the handler on a thread."""

    handler: Handler
    tls: ssl.SSLContext | None = None
    #: Every whole request, in order of arrival.
    requests: list[bytes] = field(default_factory=list)
    #: How many connections there were.
    visits: int = 0

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for sock in self._open:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._listener.getsockname()[1])

    def url(self, scheme: str = "http", host: str = "127.0.0.1") -> str:
        """Return a base URL that leads here."""
        return f"{scheme}://{host}:{self.port}/api/v1"

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.visits += 1
            self._open.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock, self.visits))
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        # A client that hangs up is what many of the tests are about.
        with contextlib.suppress(OSError), sock:
            if self.tls is None:
                self.handler(Visit(sock, number, self._over, self.requests))
            else:
                with self.tls.wrap_socket(sock, server_side=True) as wrapped:
                    self._open.append(wrapped)
                    self.handler(Visit(wrapped, number, self._over, self.requests))
