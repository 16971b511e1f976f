"""The endpoints of Meisa's API, one method each."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Self

import httpx
import pydantic

from meisa_cdc import __version__
from meisa_cdc.core.delivery import BUSY, TIMED_OUT, Answer
from meisa_cdc.core.errors import MeisaUnavailable
from meisa_cdc.core.suppression import PullFailed, addresses, whole
from meisa_cdc.meisa.key import ApiKey
from meisa_cdc.meisa.models import PingAnswer
from meisa_cdc.meisa.refusals import MeisaRefused, hint_for
from meisa_cdc.meisa.wire import MIB, Limits, Wire
from meisa_cdc.ports import Ping, SuppressionList

#: Most bytes of the suppression list.
LIST_LIMIT = 64 * MIB
USER_AGENT = f"meisa-cdc/{__version__}"


class MeisaClient:
    """Meisa over HTTP; one instance serves every thread.

    `api_key` may be a callable: it is asked before each request, so that a rotated key is picked
    up. `timeout` is in seconds and bounds a whole request. `monotonic` and `now` (epoch seconds)
    are the clock. `transport` takes the place of the network; `proxy` is the only proxy used,
    the environment's is not looked at; `tls` trusts other authorities than the usual ones.
    Raises SettingsError where the address, the proxy or `tls` cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        api_key: ApiKey,
        *,
        timeout: float,
        monotonic: Callable[[], float],
        now: Callable[[], float],
        transport: httpx.BaseTransport | None = None,
        proxy: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._limits = Limits(timeout=timeout)
        self._wire = Wire(
            base_url,
            api_key,
            monotonic=monotonic,
            now=now,
            transport=transport,
            proxy=proxy,
            tls=tls,
            user_agent=USER_AGENT,
        )

    def __repr__(self) -> str:
        return f"MeisaClient({self._wire!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; requests under way on other threads end as unknown."""
        self._wire.close()

    def ping(self) -> Ping:
        """Ask about the key.

        Raises MeisaRefused where the key or the address is wrong, MeisaUnavailable where Meisa
        does not answer usefully.
        """
        answer = self._wire.send("GET", "/ping/", limits=self._limits)
        if answer.status == httpx.codes.OK:
            try:
                return PingAnswer.model_validate(answer.body).ping()
            except pydantic.ValidationError as error:
                where = ".".join(str(part) for part in error.errors()[0]["loc"])
                what = answer.error or f"its {where or 'body'} is not what the documents show"
                raise MeisaUnavailable(
                    f"Meisa's answer about the key is of no use: {what}."
                ) from None
        if 300 <= answer.status < 500 and answer.status not in {BUSY, TIMED_OUT}:  # noqa: PLR2004
            raise MeisaRefused(
                f"Meisa refuses the key or the address: {_told(answer)}.",
                status=answer.status,
                hint=hint_for(answer.status),
            )
        raise MeisaUnavailable(f"Meisa does not answer usefully: {_told(answer)}.")

    def upsert(self, body: Mapping[str, Any]) -> Answer:
        """Create or update one contact; whatever the network or the server does is an answer.

        Raises SettingsError where the API key is unusable.
        """
        return self._wire.send("POST", "/contacts/upsert/", body, limits=self._limits)

    def unsubscribed_emails(self) -> SuppressionList:
        """Return the list of addresses that must not be e-mailed.

        Raises PullFailed (a SuppressionFailed) where it did not come whole.
        """
        answer = self._wire.send(
            "GET",
            "/contacts/api/unsubscribed-emails/",
            limits=replace(self._limits, size=LIST_LIMIT),
        )
        if answer.status != httpx.codes.OK or answer.error:
            raise PullFailed(
                f"Meisa did not return the suppression list: {_told(answer)}.",
                hint=hint_for(answer.status),
                status=answer.status,
                retry_after=answer.retry_after,
                sent=answer.sent,
            )
        as_of, entries = whole(answer.body)
        emails, malformed = addresses(entries)
        return SuppressionList(as_of=as_of, emails=emails, malformed=malformed)


def _told(answer: Answer, most: int = 200) -> str:
    """Return what an answer says in one line."""
    if not answer.status:
        return answer.error or "no answer"
    body = answer.body
    said = (
        body.get("detail") or body.get("message") or body.get("error")
        if isinstance(body, dict)
        else None
    )
    text = said if isinstance(said, str) else answer.error
    line = " ".join(text.split())[:most].rstrip(".")
    return f"HTTP {answer.status}, {line}" if line else f"HTTP {answer.status}"
