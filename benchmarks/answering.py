"""A server that takes contacts at once, or so many seconds later; `python -m benchmarks.answering`.

It does as little as a server can: finds the end of the request, and answers with what it got.
"""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import orjson

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"


class Answering(asyncio.Protocol):
    """One connection; a request begins only once the one before was answered."""

    def __init__(self, latency: float) -> None:
        self._latency = latency
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer once the request is whole."""
        self._received += data
        head, end, body = self._received.partition(HEAD_END)
        if not end or len(body) < _length(head):
            return
        self._received = b""
        answer = self.answer(head, body)
        if self._latency:
            loop = asyncio.get_running_loop()
            loop.call_later(self._latency, self._transport.write, answer)
        else:
            self._transport.write(answer)

    def answer(self, _head: bytes, body: bytes) -> bytes:
        """Return the contact as it is now."""
        return accepted(orjson.loads(body))


def _length(head: bytes) -> int:
    lines = head.lower().split(b"\r\n")
    return int(next((line[len(LENGTH) :] for line in lines if line.startswith(LENGTH)), b"0"))


def accepted(contact: dict[str, Any]) -> bytes:
    """Return the answer to an upsert."""
    return answer_of({"id": f"c-{contact['external_id']}", **contact})


def answer_of(document: dict[str, Any]) -> bytes:
    """Return an answer of status 200."""
    text = orjson.dumps(document)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}"
    return head.encode() + HEAD_END + text


@contextmanager
def answering(latency: float) -> Iterator[str]:
    """Yield the base URL of such a server, in a process of its own; `latency` is in seconds."""
    with served("benchmarks.answering", str(latency)) as url:
        yield url


@contextmanager
def served(module: str, *arguments: str) -> Iterator[str]:
    """Yield the base URL of a server in a process of its own, which tells its port first."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


async def serve(connection: Callable[[], asyncio.Protocol]) -> None:
    """Answer until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(partial(Answering, float(sys.argv[1]))))
