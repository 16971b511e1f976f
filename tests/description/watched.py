"""A sandbox over HTTP that fails the test where an exchange is not as it describes itself."""

import json
from types import TracebackType
from typing import Any, Self
from urllib.request import ProxyHandler, build_opener

from meisa_cdc.sandbox import Account, SandboxOptions, SandboxServer
from meisa_cdc.sandbox.account import Outcome
from meisa_cdc.sandbox.exchange import Arrival
from tests.description.document import JSON, Answer, Description, Request

#: Mismatches that are told of; the others are counted.
MOST_TOLD = 10


class WatchedAccount(Account):
    """An account that notes each exchange that is not as described."""

    def __init__(self, options: SandboxOptions | None = None, **further: Any) -> None:
        super().__init__(options, **further)
        #: As it is served; until it is there, nothing is compared.
        self.description: Description | None = None
        #: What was found, a sentence each.
        self.mismatches: list[str] = []

    def taken_mismatches(self) -> list[str]:
        """Return what was found so far and forget it, where a test means to be wrong."""
        found, self.mismatches = self.mismatches, []
        return found

    def answer(self, arrival: Arrival) -> Outcome:
        """Take one request, and compare it and its answer with the description."""
        outcome = self._answered(arrival)
        if self.description is not None:
            request = Request(
                method=arrival.method,
                path=arrival.path,
                query=arrival.query,
                content_type=arrival.content_type,
                has_key=arrival.api_key is not None,
                body=arrival.body,
            )
            self.mismatches += self.description.wrong_request(request)
            # What a fault makes of an answer is meant to be nothing like it.
            if outcome.reply is not None and outcome.fault is None:
                reply = outcome.reply
                answer = Answer(status=reply.status, headers=reply.headers, body=reply.body)
                self.mismatches += self.description.wrong_answer(request, answer)
        return outcome

    def _answered(self, arrival: Arrival) -> Outcome:
        return super().answer(arrival)


class WatchedSandbox(SandboxServer):
    """Serves such an account; where the block ends, mismatches fail the test."""

    account: WatchedAccount

    def __enter__(self) -> Self:
        super().__enter__()
        self.account.description = Description.read(_got(f"{self.url}/openapi.json"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        found = self.account.mismatches
        told = "\n".join(found[:MOST_TOLD])
        message = f"{len(found)} times not as the sandbox describes itself:\n{told}"
        if found and error is not None:
            error.add_note(message)
        else:
            assert not found, message


def watched(options: SandboxOptions | None = None, **further: Any) -> WatchedSandbox:
    """Return a watched sandbox with these options, to be entered; `further` is for its account."""
    return WatchedSandbox(WatchedAccount(options, **further))


def logged_mismatches(url: str) -> list[str]:
    """Return what in the log of another process's sandbox is not as it describes itself.

    The log has bodies and statuses of requests, but no answers.
    """
    description = Description.read(_got(f"{url}/openapi.json"))
    found: list[str] = []
    for record in json.loads(_got(f"{url}/_sandbox/requests"))["requests"]:
        body = b"" if record["body"] == "" else json.dumps(record["body"]).encode()
        request = Request(
            method=record["method"],
            path=record["path"],
            query="",
            content_type=JSON,
            has_key=record["api_key"] is not None,
            body=body,
        )
        found += description.wrong_request(request)
        found += description.wrong_status(request, record["status"])
    return found


def _got(url: str) -> bytes:
    # No proxy that the environment may name has to do with a server on loopback.
    with build_opener(ProxyHandler({})).open(url) as served:
        answer: bytes = served.read()
    return answer
