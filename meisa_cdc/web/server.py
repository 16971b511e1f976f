"""The web server of the daemon, in a thread of its own."""

import socket
from collections.abc import Callable
from threading import Thread
from types import TracebackType
from typing import Any, Self

import uvicorn

from meisa_cdc.core.errors import SettingsError
from meisa_cdc.web.app import build_app

#: Seconds for answers under way when the server stops.
GRACE = 1


class WebServer:
    """Serves for as long as the `with` lasts; port 0 takes a free one.

    Raises SettingsError where the address cannot be used.
    """

    def __init__(self, host: str, port: int, ready: Callable[[], dict[str, Any]]) -> None:
        self._host = host
        #: The port it listens on, once it does.
        self.port = port
        self._server = uvicorn.Server(
            uvicorn.Config(
                build_app(ready),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE,
            )
        )
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        listener = self._listen()
        self.port = listener.getsockname()[1]
        self._thread = Thread(target=self._server.run, args=([listener],), name="web", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(GRACE + 1)

    def _listen(self) -> socket.socket:
        try:
            return socket.create_server(
                (self._host, self.port),
                family=socket.AF_INET6 if ":" in self._host else socket.AF_INET,
            )
        except (OSError, OverflowError) as error:
            raise SettingsError(
                f"web.bind: {self._host}:{self.port} cannot be used: {error}.",
                hint="Set MEISA_CDC_WEB__BIND to a free address; port 0 takes any.",
            ) from error
