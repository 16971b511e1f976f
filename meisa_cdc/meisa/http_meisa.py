"""Meisa as the use cases ask for it: answers for deliveries to judge, and the two looks."""

import ssl
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

import httpx
import pydantic

from meisa_cdc import __version__
from meisa_cdc.core.errors import InvalidValue, MeisaUnavailable
from meisa_cdc.core.outcome import BUSY, TIMED_OUT, Answer
from meisa_cdc.core.suppression import PullFailed, addresses, whole
from meisa_cdc.meisa import endpoints
from meisa_cdc.meisa.answers import told
from meisa_cdc.meisa.endpoints import Endpoint
from meisa_cdc.meisa.key import ApiKey
from meisa_cdc.meisa.models import MeisaAnswer, PingAnswer, SequenceList
from meisa_cdc.meisa.refusals import MeisaRefused, hint_for
from meisa_cdc.meisa.wire import Limits, Wire
from meisa_cdc.ports import Ping, SuppressionList

Read = TypeVar("Read", bound=MeisaAnswer)

USER_AGENT = f"meisa-cdc/{__version__}"


class HttpMeisa:
    """Meisa over HTTP; one instance serves every thread.

    What returns an Answer never raises for what the network or the server does: a delivery judges
    it. It does raise SettingsError where the API key is unusable. Bodies are those of the API.

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
        self._timeout = timeout
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
        return f"HttpMeisa({self._wire!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; requests under way on other threads end as unknown."""
        self._wire.close()

    def send(
        self,
        endpoint: Endpoint,
        body: Mapping[str, Any] | None = None,
        *,
        contact_id: str = "",
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request to an endpoint.

        Raises InvalidValue where the path needs a contact's id and this can be none.
        """
        return self._wire.send(
            endpoint.method,
            endpoint.target(contact_id, query),
            body,
            limits=Limits(timeout=self._timeout, size=endpoint.size),
        )

    def ping(self) -> Ping:
        """Ask about the key.

        Raises MeisaRefused where the key or the address is wrong, MeisaUnavailable where Meisa
        does not answer usefully.
        """
        answer = self.send(endpoints.PING)
        return self._understood(answer, PingAnswer, "the key").ping()

    def sequence_statuses(self) -> Mapping[str, str]:
        """Return the status of every sequence by its slug. Raises as `ping`."""
        answer = self.send(endpoints.SEQUENCES, query={"status": "all"})
        listed = self._understood(answer, SequenceList, "its sequences")
        return {each.slug: each.status for each in listed.results}

    @staticmethod
    def _understood(answer: Answer, model: type[Read], about: str) -> Read:
        if answer.status == httpx.codes.OK:
            try:
                return model.model_validate(answer.body)
            except pydantic.ValidationError as error:
                where = ".".join(str(part) for part in error.errors()[0]["loc"])
                what = answer.error or f"its {where or 'body'} is not what the documents show"
                raise MeisaUnavailable(
                    f"Meisa's answer about {about} is of no use: {what}."
                ) from None
        if 300 <= answer.status < 500 and answer.status not in {BUSY, TIMED_OUT}:  # noqa: PLR2004
            raise MeisaRefused(
                f"Meisa refuses the key or the address: {told(answer)}.",
                status=answer.status,
                hint=hint_for(answer.status),
            )
        raise MeisaUnavailable(f"Meisa does not answer usefully: {told(answer)}.")

    def unsubscribed_emails(self) -> SuppressionList:
        """Return the list of addresses that must not be e-mailed.

        Raises PullFailed (a SuppressionFailed) where it did not come whole.
        """
        answer = self.send(endpoints.UNSUBSCRIBED_EMAILS)
        if answer.status != httpx.codes.OK or answer.error:
            raise PullFailed(
                f"Meisa did not return the suppression list: {told(answer)}.",
                hint=hint_for(answer.status),
                status=answer.status,
                retry_after=answer.retry_after,
                sent=answer.sent,
            )
        as_of, entries = whole(answer.body)
        emails, malformed = addresses(entries)
        return SuppressionList(as_of=as_of, emails=emails, malformed=malformed)

    def upsert(self, body: Mapping[str, Any]) -> Answer:
        """Create or update one contact."""
        return self.send(endpoints.UPSERT, body)

    def track_event(self, body: Mapping[str, Any]) -> Answer:
        """Record one event of a contact."""
        return self.send(endpoints.TRACK_EVENT, body)

    def add_tag(self, contact_id: str, body: Mapping[str, Any]) -> Answer:
        """Add a tag to the contact with this id at Meisa."""
        return self._about(contact_id, endpoints.ADD_TAG, body)

    def remove_tag(self, contact_id: str, body: Mapping[str, Any]) -> Answer:
        """Remove a tag from the contact with this id at Meisa."""
        return self._about(contact_id, endpoints.REMOVE_TAG, body)

    def trigger_email(self, body: Mapping[str, Any]) -> Answer:
        """Send one triggered e-mail."""
        return self.send(endpoints.TRIGGER_EMAIL, body)

    def enroll(self, body: Mapping[str, Any]) -> Answer:
        """Enroll one contact in a sequence."""
        return self.send(endpoints.ENROLL, body)

    def bulk_enroll(self, body: Mapping[str, Any]) -> Answer:
        """Enroll up to BULK_LIMIT addresses in a sequence."""
        return self.send(endpoints.BULK_ENROLL, body)

    def sequences(self, query: Mapping[str, str] | None = None) -> Answer:
        """List sequences; without a query the active ones."""
        return self.send(endpoints.SEQUENCES, query=query)

    def contact_enrollments(self, email: str) -> Answer:
        """List the enrollments of one contact."""
        return self.send(endpoints.CONTACT_ENROLLMENTS, query={"email": email})

    def _about(self, contact_id: str, endpoint: Endpoint, body: Mapping[str, Any]) -> Answer:
        try:
            return self.send(endpoint, body, contact_id=contact_id)
        except InvalidValue as error:
            # The id once came from Meisa: strange as it is, it must not end a whole push.
            return Answer(sent=False, error=error.message)
