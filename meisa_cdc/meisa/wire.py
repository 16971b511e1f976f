"""One request, one answer: total deadline, capped size, and whether Meisa may have seen it."""

import contextlib
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import httpx
import orjson

from meisa_cdc.core.errors import SettingsError
from meisa_cdc.core.outcome import Answer
from meisa_cdc.meisa.address import base_address, proxy_address
from meisa_cdc.meisa.answers import json_body, retry_after
from meisa_cdc.meisa.connection import Exchange, under_way
from meisa_cdc.meisa.key import ApiKey, Key, without
from meisa_cdc.meisa.pool import PoolTransport

MIB = 2**20
#: Most bytes of an ordinary answer.
ANSWER_LIMIT = MIB

# Raised before a connection was there to send on.
NEVER_LEFT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.LocalProtocolError,
    httpx.UnsupportedProtocol,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may take."""

    #: Seconds from its start to the last byte of the answer; looking up the name aside.
    timeout: float
    #: Bytes of the answer's body.
    size: int = ANSWER_LIMIT


class Wire:
    """Sends JSON to paths below a base URL; safe to use from several threads."""

    def __init__(
        self,
        base_url: str,
        api_key: ApiKey,
        *,
        monotonic: Callable[[], float],
        now: Callable[[], float],
        transport: httpx.BaseTransport | None = None,
        proxy: str | None = None,
        tls: ssl.SSLContext | None = None,
        user_agent: str,
    ) -> None:
        self._base = base_address(base_url)
        self._key = Key(api_key)
        self._monotonic = monotonic
        self._now = now
        self._transport = transport or PoolTransport(
            tls=_checking(tls), proxy=proxy_address(proxy) if proxy else None
        )
        self._user_agent = user_agent

    def __repr__(self) -> str:
        return f"Wire({self._base!r})"

    def send(self, method: str, path: str, payload: object = None, *, limits: Limits) -> Answer:
        """Send one request and return what came of it, whatever that was.

        Raises SettingsError where the API key is unusable, and nothing else.
        """
        key = self._key.reveal()
        deadline = self._monotonic() + limits.timeout
        content = b"" if payload is None else orjson.dumps(payload)
        request = self._request(method, path, key, content, limits.timeout)
        exchange = Exchange(deadline=deadline, monotonic=self._monotonic)
        answer = self._attempt(request, key, exchange, limits)
        if not answer.sent and _was_stale(exchange):
            exchange = Exchange(deadline=deadline, monotonic=self._monotonic)
            answer = self._attempt(request, key, exchange, limits)
        return answer

    def close(self) -> None:
        """Close all connections; requests under way on other threads end without an answer."""
        self._transport.close()

    def _request(
        self, method: str, path: str, key: str, content: bytes, timeout: float
    ) -> httpx.Request:
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": self._user_agent,
            "X-API-Key": key,
        }
        if content:
            headers["Content-Type"] = "application/json"
        each = dict.fromkeys(("connect", "read", "write", "pool"), timeout)
        return httpx.Request(
            method,
            f"{self._base}{path}",
            headers=headers,
            content=content,
            extensions={"timeout": each},
        )

    def _attempt(
        self, request: httpx.Request, key: str, exchange: Exchange, limits: Limits
    ) -> Answer:
        with under_way(exchange):
            try:
                response = self._transport.handle_request(request)
            except httpx.TransportError as error:
                sent = not isinstance(error, NEVER_LEFT) and exchange.written != 0
                return Answer(sent=sent, error=without(key, _described(error, limits.timeout)))
            with contextlib.closing(response):
                return self._answer(response, key, exchange, limits)

    def _answer(
        self, response: httpx.Response, key: str, exchange: Exchange, limits: Limits
    ) -> Answer:
        """Read the body. The status is certain by now, whatever becomes of the rest."""
        body: Any = None
        raw, error = _read(response, exchange, limits)
        if not error:
            if not response.is_success:
                raw = bytearray(without(key, raw.decode("latin-1")).encode("latin-1"))
            body, error = json_body(response.headers, raw)
        return Answer(
            status=response.status_code,
            body=body,
            retry_after=retry_after(response.headers.get("retry-after"), self._now()),
            error=without(key, error),
        )


def _read(response: httpx.Response, exchange: Exchange, limits: Limits) -> tuple[bytearray, str]:
    """Return (body, '') of an answer that ended in time and size, else (what came, why not)."""
    most = limits.size if response.is_success else min(limits.size, ANSWER_LIMIT)
    raw = bytearray()
    try:
        # Straight from the wire: never unpacked, whatever its headers say.
        for piece in cast("Iterable[bytes]", response.stream):
            raw += piece
            if len(raw) > most:
                return raw, f"the answer is larger than {most // MIB} MiB"
            if exchange.remaining <= 0:
                return raw, f"the answer did not end within {limits.timeout:g} s"
    except httpx.TransportError as error:
        return raw, _described(error, limits.timeout)
    return raw, ""


def _was_stale(exchange: Exchange) -> bool:
    """Tell whether a kept connection turned out to be closed, with no byte of ours gone."""
    return exchange.written == 0 and not exchange.connected and exchange.remaining > 0


def _described(error: httpx.TransportError, timeout: float) -> str:
    if isinstance(error, httpx.ConnectTimeout):
        return f"no connection within {timeout:g} s"
    if isinstance(error, httpx.TimeoutException):
        return f"no complete answer within {timeout:g} s"
    what = {
        httpx.ConnectError: "no connection",
        httpx.ProxyError: "the proxy refused",
        httpx.RemoteProtocolError: "the connection broke off",
        httpx.ReadError: "the connection broke off",
        httpx.WriteError: "the connection broke off",
    }.get(type(error), "the request failed")
    return f"{what}: {str(error)[:200]}" if str(error) else what


def _checking(tls: ssl.SSLContext | None) -> ssl.SSLContext:
    if tls is None:
        return httpx.create_ssl_context(trust_env=False)
    if tls.verify_mode is not ssl.CERT_REQUIRED or not tls.check_hostname:
        raise SettingsError("TLS without a check of the server's certificate is not used.")
    return tls
