"""An httpx transport over a pool of our own connections, directly or through a proxy."""

import contextlib
import ssl
from collections.abc import Iterator

import httpcore
import httpx

from meisa_cdc.meisa.connection import Network

#: More than anybody sets as concurrency; a request beyond waits for a connection.
CONNECTIONS = 64
#: Seconds an idle connection is kept. Servers close theirs after a minute or so; one that was
#: closed earlier is noticed before it is used.
IDLE = 50.0

# The two libraries name the same things alike.
FAILURES: dict[type[Exception], type[httpx.TransportError]] = {
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.PoolTimeout: httpx.PoolTimeout,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.ProxyError: httpx.ProxyError,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
}


class PoolTransport(httpx.BaseTransport):
    """Sends requests over HTTP/1.1; nothing in the environment has a say in it."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext,
        proxy: httpx.Proxy | None = None,
        network: httpcore.NetworkBackend | None = None,
    ) -> None:
        network = network or Network()
        if proxy is None:
            self._pool = httpcore.ConnectionPool(
                ssl_context=tls,
                max_connections=CONNECTIONS,
                keepalive_expiry=IDLE,
                network_backend=network,
            )
        else:
            self._pool = httpcore.HTTPProxy(
                proxy_url=str(proxy.url),
                proxy_auth=proxy.raw_auth,
                ssl_context=tls,
                max_connections=CONNECTIONS,
                keepalive_expiry=IDLE,
                network_backend=network,
            )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it and return the answer once its headers are there; the body is streamed."""
        url = request.url
        with _as_httpx():
            answer = self._pool.handle_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(
                        scheme=url.raw_scheme,
                        host=url.raw_host,
                        port=url.port,
                        target=url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.content,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            status_code=answer.status, headers=answer.headers, stream=_Body(answer)
        )

    def close(self) -> None:
        """Close every connection, those in use as well."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


@contextlib.contextmanager
def _as_httpx() -> Iterator[None]:
    try:
        yield
    except tuple(FAILURES) as error:
        raise FAILURES[type(error)](str(error)) from error
