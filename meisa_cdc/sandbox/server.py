"""The sandbox on a loopback port: in a thread for tests, or blocking for the command line."""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from meisa_cdc.sandbox.account import Account
from meisa_cdc.sandbox.api.table import BASE_PATH
from meisa_cdc.sandbox.app import build_app
from meisa_cdc.sandbox.errors import OptionError
from meisa_cdc.sandbox.wire import TRANSPORT

#: Seconds for answers under way when the server stops; the account itself never waits.
_GRACE = 0.05

#: Seconds an idle connection is kept: longer than a paced client waits between two requests.
_KEEP_ALIVE = 75


class _OpenConnection(H11Protocol):
    """HTTP whose requests can reach their connection, so that faults can break it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        self.app_state = {**self.app_state, TRANSPORT: transport}


class _Server(uvicorn.Server):
    """Ends on SIGINT and SIGTERM by returning; uvicorn's own would raise the signal again."""

    def __init__(self, account: Account) -> None:
        super().__init__(
            uvicorn.Config(
                build_app(account),
                http=_OpenConnection,
                ws="none",
                loop="asyncio",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE,
            )
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop gracefully at the first signal, at once at the second."""
        del sig, frame
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let answers under way leave, then drop every connection, also those that hang."""
        await asyncio.sleep(_GRACE)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
        await super().shutdown(sockets)


class SandboxServer:
    """An account served over HTTP on loopback, in a thread, for as long as the `with` lasts.

    Port 0 takes a free one. Raises OptionError for a host that is not loopback or a port in use.
    """

    def __init__(self, account: Account, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.account = account
        self._host = host
        #: the port it listens on, once it does
        self.port = port
        #: where the page is, without a slash at the end
        self.url = ""
        #: what a client takes for the API's base URL
        self.base_url = ""

    def __enter__(self) -> Self:
        listener = _listen(self._host, self.port)
        self.port = listener.getsockname()[1]
        self.url = _url(listener)
        self.base_url = self.url + BASE_PATH
        self._server = _Server(self.account)
        # Clients may connect at once: the socket listens already and queues them.
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="meisa-sandbox"
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join()


def serve(
    account: Account,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then return. `ready` is called with the page's URL.

    Raises OptionError for a host that is not loopback or a port in use.
    """
    listener = _listen(host, port)
    with listener:
        if ready is not None:
            ready(_url(listener))
        _Server(account).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    address = "127.0.0.1" if host == "localhost" else host
    if not _is_loopback(address):
        raise OptionError(
            f"host: {host!r} is not a loopback address like 127.0.0.1; the sandbox's admin paths"
            " need no key, so it cannot be reached from outside"
        )
    # With the protocol named, asyncio switches Nagle's delay off: 40 ms an answer otherwise.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        raise OptionError(
            f"port: {port} on {host} cannot be used ({error}); choose another, or 0 for a free one"
        ) from error
    return listener


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.IPv4Address(address).is_loopback
    except ipaddress.AddressValueError:
        return False


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()
    return f"http://{host}:{port}"
