"""Every endpoint of Meisa's API: where it is, and what is known of it beforehand."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from meisa_cdc.core.errors import InvalidValue
from meisa_cdc.meisa.wire import ANSWER_LIMIT, MIB

#: Most bytes of the suppression list.
LIST_LIMIT = 64 * MIB
#: Most addresses of one bulk enrollment.
BULK_LIMIT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method and path."""

    #: Upper case.
    method: str
    #: Below the base URL; `{id}` stands for a contact's id at Meisa.
    path: str
    #: The permission a key needs; empty where any valid key will do.
    scope: str = ""
    #: Whether a second, equal request changes nothing that the first did not. Where that depends
    #: on what it carries, and for reads, it is False.
    repeatable: bool = False
    #: Whether a 404 can mean that what the request names does not exist.
    may_miss: bool = False
    #: Most bytes of its answer.
    size: int = ANSWER_LIMIT

    @property
    def reads(self) -> bool:
        """Whether it changes nothing at Meisa."""
        return self.method == "GET"

    def target(self, contact_id: str = "", query: Mapping[str, str] | None = None) -> str:
        """Return path and query. Raises InvalidValue where a needed id can be no part of a path."""
        path = self.path
        if "{id}" in path:
            if not contact_id.strip() or contact_id in {".", ".."}:
                raise InvalidValue("meisa_id_invalid", f"{contact_id!r} is not a contact's id")
            path = path.replace("{id}", quote(contact_id, safe=""))
        return f"{path}?{urlencode(query)}" if query else path


PING = Endpoint(method="GET", path="/ping/")
UPSERT = Endpoint(method="POST", path="/contacts/upsert/", scope="contacts:write", repeatable=True)
TRACK_EVENT = Endpoint(method="POST", path="/events/track/", scope="events:track", may_miss=True)
ADD_TAG = Endpoint(
    method="POST",
    path="/contacts/{id}/add_tag/",
    scope="contacts:write",
    repeatable=True,
    may_miss=True,
)
REMOVE_TAG = Endpoint(
    method="POST",
    path="/contacts/{id}/remove_tag/",
    scope="contacts:write",
    repeatable=True,
    may_miss=True,
)
UNSUBSCRIBED_EMAILS = Endpoint(
    method="GET",
    path="/contacts/api/unsubscribed-emails/",
    scope="contacts:read",
    size=LIST_LIMIT,
)
TRIGGER_EMAIL = Endpoint(
    method="POST", path="/emails/trigger/", scope="emails:trigger", may_miss=True
)
ENROLL = Endpoint(method="POST", path="/sequences/enroll/", scope="sequences:enroll", may_miss=True)
BULK_ENROLL = Endpoint(
    method="POST", path="/sequences/api/bulk-enroll/", scope="sequences:enroll", may_miss=True
)
SEQUENCES = Endpoint(method="GET", path="/sequences/api/list/", scope="sequences:read")
CONTACT_ENROLLMENTS = Endpoint(
    method="GET", path="/sequences/api/contact-enrollments/", scope="sequences:read"
)

ENDPOINTS = (
    PING,
    UPSERT,
    TRACK_EVENT,
    ADD_TAG,
    REMOVE_TAG,
    UNSUBSCRIBED_EMAILS,
    TRIGGER_EMAIL,
    ENROLL,
    BULK_ENROLL,
    SEQUENCES,
    CONTACT_ENROLLMENTS,
)
