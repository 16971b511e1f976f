"""A pooler in transaction mode between us and Postgres; F22."""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from threading import Thread

import psycopg
import pytest
from sqlalchemy import make_url

from meisa_cdc.core.errors import SourceUnavailable
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.source.database import AppDatabase

ONE = Mapping(name="contacts/one", text="select 1 as external_id, 'a' as x", digest="1")
READY, SYNC, QUERY, END = b"Z", b"S", b"Q", b"X"


class Pooler:
    """Takes one client, and hands its transactions to its server connections in turn."""

    def __init__(self, servers: list[socket.socket], *, meddles_after: int = 0) -> None:
        self._servers = servers
        self._meddles_after = meddles_after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        with closing(client):
            _welcome(client)
            turn = rounds = 0
            while message := _message(client):
                kind, body = message
                if kind == END:
                    return
                server = self._servers[turn % len(self._servers)]
                server.sendall(kind + body)
                if kind not in (SYNC, QUERY):
                    continue
                rounds += 1
                if _answers(server, client):
                    turn += 1
                elif rounds == self._meddles_after:
                    _meddle(server)

    def close(self) -> None:
        """Take no client any more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def _exactly(link: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = link.recv(size - len(data))
        if not part:
            return b""
        data += part
    return data


def _message(link: socket.socket) -> tuple[bytes, bytes] | None:
    head = _exactly(link, 5)
    if not head:
        return None
    (length,) = struct.unpack("!i", head[1:])
    return head[:1], head[1:] + _exactly(link, length - 4)


def _welcome(client: socket.socket) -> None:
    """Let the client in, as a pooler does that has logged in already."""
    while True:
        (length,) = struct.unpack("!i", _exactly(client, 4))
        (code,) = struct.unpack("!i", _exactly(client, length - 4)[:4])
        if code == 3 << 16 or code >> 16 == 3:
            break
        client.sendall(b"N")  # neither TLS nor GSS
    settings = {"client_encoding": "UTF8", "server_encoding": "UTF8", "server_version": "16.0"}
    settings["standard_conforming_strings"] = "on"
    answer = b"R" + struct.pack("!ii", 8, 0)
    for name, value in settings.items():
        text = f"{name}\0{value}\0".encode()
        answer += b"S" + struct.pack("!i", 4 + len(text)) + text
    answer += b"K" + struct.pack("!iii", 12, 1, 1) + READY + struct.pack("!i", 5) + b"I"
    client.sendall(answer)


def _meddle(server: socket.socket) -> None:
    """Change a setting behind the client's back, as a proxy may that has its own idea of them."""
    text = b"set local timezone to 'Asia/Tokyo'\0"
    server.sendall(QUERY + struct.pack("!i", 4 + len(text)) + text)
    while message := _message(server):
        if message[0] == READY:
            return


def _answers(server: socket.socket, client: socket.socket) -> bool:
    """Pass the answers on; tell whether the server is outside of a transaction then."""
    while True:
        kind, body = _message(server) or (READY, b"\0\0\0\5I")
        client.sendall(kind + body)
        if kind == READY:
            return body[-1:] == b"I"


@contextmanager
def pooled(url: str, connections: int, *, meddles_after: int = 0) -> Iterator[AppDatabase]:
    """Yield the database as it is reached through a pooler with that many connections."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with ExitStack() as stack:
        links = []
        for _ in range(connections):
            connection = stack.enter_context(closing(psycopg.connect(plain, autocommit=True)))
            link = socket.socket(fileno=os.dup(connection.pgconn.socket))
            link.setblocking(True)
            links.append(stack.enter_context(closing(link)))
        made = Pooler(links, meddles_after=meddles_after)
        pooler = stack.enter_context(closing(made))
        yield AppDatabase(make_url(url).set(host="127.0.0.1", port=pooler.port))


def test_f22_a_pooler_in_transaction_mode_is_noticed(postgres_url):
    """The pass is refused with what to do; nothing was read."""
    with (
        pooled(postgres_url, 2) as database,
        pytest.raises(SourceUnavailable) as caught,
        database.snapshot(),
    ):
        pass
    assert "a pooler in transaction mode stands between" in str(caught.value)
    assert "Point app_database.url at the server itself" in str(caught.value)


def test_f22_a_pooler_that_keeps_the_connection_is_no_trouble(postgres_url):
    """One connection for the whole session is as good as the server itself."""
    with pooled(postgres_url, 1) as database, database.snapshot() as snapshot:
        assert list(snapshot.read(ONE)) == [[(1, "a")]]


def test_f22_a_proxy_that_meddles_with_settings_is_noticed(postgres_url):
    """What the transaction has is read back, not believed."""
    with (
        pooled(postgres_url, 1, meddles_after=3) as database,
        pytest.raises(SourceUnavailable, match="does not keep a session's settings"),
        database.snapshot(),
    ):
        pass


def test_f22_our_settings_do_not_stay_behind(postgres_url):
    """A pooled connection is given back as it was: the app must not inherit read-only."""
    asked = "select current_setting('TimeZone'), current_setting('statement_timeout'),"
    asked += " current_setting('application_name'), current_setting('lock_timeout')"
    plain = make_url(postgres_url).set(drivername="postgresql")
    plain_text = plain.render_as_string(hide_password=False)
    with closing(psycopg.connect(plain_text, autocommit=True)) as kept:
        kept.execute("set timezone to 'Asia/Tokyo'")
        before = kept.execute(asked).fetchone()
        with closing(socket.socket(fileno=os.dup(kept.pgconn.socket))) as link:
            link.setblocking(True)
            with closing(Pooler([link])) as pooler:
                database = AppDatabase(make_url(postgres_url).set(port=pooler.port))
                with database.snapshot() as snapshot:
                    assert list(snapshot.read(ONE)) == [[(1, "a")]]
        assert kept.execute(asked).fetchone() == before
        assert kept.execute("show transaction_read_only").fetchone() == ("off",)
