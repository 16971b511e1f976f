"""Sends an outcome to the client, and misbehaves on the connection where a fault says so."""

import asyncio
import socket
import struct
import zlib
from collections.abc import Iterator, Mapping

from starlette.types import Receive, Scope, Send

from meisa_cdc.sandbox.account import Outcome
from meisa_cdc.sandbox.exchange import Reply
from meisa_cdc.sandbox.faults import Fault

#: Key of the connection's asyncio.Transport in the ASGI scope's `state`.
TRANSPORT = "transport"

_BLOCK = 1024 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_BODILESS = frozenset({204, 304})
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Wire:
    """The way back to one client. No wait outlasts the connection."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._transport: asyncio.Transport = scope["state"][TRANSPORT]
        self._receive = receive
        self._send = send

    async def deliver(self, outcome: Outcome) -> None:
        """Wait as long as the outcome says, then send its reply or break off."""
        if outcome.latency > 0:
            await self._pause(outcome.latency)
        if outcome.reply is None:
            await self._reset()
        elif outcome.fault is None:
            await self._answer(outcome.reply)
        else:
            await self._misbehave(outcome.fault, outcome.reply)

    async def _misbehave(self, fault: Fault, reply: Reply) -> None:
        if fault.kind == "cut":
            await self._start(reply, sized=True)
            await self._write(reply.body[: len(reply.body) // 2])
            await self._close()
        elif fault.kind == "drip":
            await self._drip(reply, fault.seconds)
        elif fault.kind in ("huge", "gzip_bomb"):
            await self._flood(reply, fault)
        else:
            await self._answer(reply)
            if fault.kind == "hang_up":
                self._transport.close()

    async def _answer(self, reply: Reply) -> None:
        await self._start(reply, sized=True)
        await self._write(b"" if reply.status in _BODILESS else reply.body, last=True)

    async def _drip(self, reply: Reply, seconds: float) -> None:
        await self._start(reply, sized=True)
        for position in range(len(reply.body)):
            await self._write(reply.body[position : position + 1])
            if not await self._pause(seconds):
                return
        await self._write(b"", last=True)

    async def _flood(self, reply: Reply, fault: Fault) -> None:
        bomb = fault.kind == "gzip_bomb"
        await self._start(reply, sized=False, more={"content-encoding": "gzip"} if bomb else {})
        pack = zlib.compressobj(wbits=_GZIP) if bomb else None
        for block in _json_string(fault.size):
            await self._write(pack.compress(block) if pack else block)
            # The other clients' turn: a block that fits the buffers does not wait by itself.
            await asyncio.sleep(0)
            if self._transport.is_closing():
                await self._client_gone()
                return
        await self._write(pack.flush() if pack else b"", last=True)

    async def _start(
        self, reply: Reply, *, sized: bool, more: Mapping[str, str] | None = None
    ) -> None:
        headers = {**reply.headers, **(more or {})}
        headers.pop("content-length", None)
        if sized and reply.status not in _BODILESS:
            headers["content-length"] = str(len(reply.body))
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": reply.status, "headers": raw})

    async def _write(self, body: bytes, *, last: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": not last})

    async def _pause(self, seconds: float) -> bool:
        """Wait; False if the connection is over before the time is up."""
        try:
            await asyncio.wait_for(self._client_gone(), seconds)
        except TimeoutError:
            return True
        return False

    async def _close(self) -> None:
        """End the connection once what was written has left."""
        self._transport.close()
        await self._client_gone()

    async def _reset(self) -> None:
        """End the connection at once, so that the client sees a reset and not an end."""
        connection = self._transport.get_extra_info("socket")
        if not self._transport.is_closing():
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()
        await self._client_gone()

    async def _client_gone(self) -> None:
        """Wait until the server knows that the connection is over.

        The request was read whole, so that is the only thing left to be received.
        """
        await self._receive()


def _json_string(size: int) -> Iterator[bytes]:
    """Blocks that together are a JSON string of that many bytes."""
    yield b'"'
    for start in range(0, size, _BLOCK):
        yield b"x" * min(_BLOCK, size - start)
    yield b'"'
