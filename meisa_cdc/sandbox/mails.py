"""The e-mails that requests had sent: recorded, never delivered to anybody."""

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import orjson

from meisa_cdc.sandbox.configured import EmailTrigger
from meisa_cdc.sandbox.contact import Contact
from meisa_cdc.sandbox.unsaved import Document, Unsaved

#: `withheld`: its time came when its address must no longer be written to
MailStatus = Literal["sent", "scheduled", "withheld"]

#: Seconds in which an identical request with an idempotency_key sends nothing more.
_DEDUPLICATION = 3600

_VARIABLE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


@dataclass(slots=True, kw_only=True)
class Mail:
    """One e-mail. Times are epoch seconds."""

    #: UUID: the email_send_id
    id: str
    #: when it was asked for, and when it leaves
    at: float
    due_at: float
    status: MailStatus
    #: Meisa's id of the contact, and whether the request created it
    contact_id: str
    contact_created: bool
    trigger_key: str
    to_email: str
    sender: str
    #: with the variables put in
    subject: str
    text: str
    #: the request's fields
    request: dict[str, Any]

    def stored(self) -> Document:
        """The e-mail as the disk keeps it; also what the admin path shows."""
        return asdict(self)


class Outbox:
    """The last e-mails, the oldest first."""

    def __init__(self, size: int, unsaved: Unsaved) -> None:
        self._size = size
        self._unsaved = unsaved
        self._mails: dict[str, Mail] = {}
        self._scheduled: dict[str, Mail] = {}
        self._by_request: dict[bytes, Mail] = {}

    def all(self) -> list[Mail]:
        """Every e-mail remembered, the oldest first."""
        return list(self._mails.values())

    def identical(self, request: Mapping[str, Any], now: float) -> Mail | None:
        """The e-mail of the same request within the last hour, if that had an idempotency_key."""
        mail = self._by_request.get(_fingerprint(request))
        return mail if mail is not None and now < mail.at + _DEDUPLICATION else None

    def add(
        self,
        trigger: EmailTrigger,
        sender: str,
        contact: Contact,
        request: Mapping[str, Any],
        now: float,
        *,
        contact_created: bool,
    ) -> Mail:
        """Record the e-mail of this request."""
        variables = request.get("variables", {})
        mail = Mail(
            id=str(uuid.uuid4()),
            at=now,
            due_at=now + trigger.delay,
            status="scheduled" if trigger.delay else "sent",
            contact_id=contact.id,
            contact_created=contact_created,
            trigger_key=trigger.key,
            to_email=request["to_email"],
            sender=sender,
            subject=_merge(trigger.subject, variables),
            text=_merge(trigger.text, variables),
            request=dict(request),
        )
        if len(self._mails) == self._size:
            self._forget(next(iter(self._mails.values())))
        self._take(mail)
        self._unsaved.note("mail", mail.id, mail)
        return mail

    def due(self, now: float) -> list[Mail]:
        """Scheduled e-mails whose time has come, in the order they are due."""
        ready = [mail for mail in self._scheduled.values() if mail.due_at <= now]
        return sorted(ready, key=lambda mail: mail.due_at)

    def settle(self, mail: Mail, status: MailStatus) -> None:
        """Say what became of a scheduled e-mail."""
        mail.status = status
        self._scheduled.pop(mail.id, None)
        self._unsaved.note("mail", mail.id, mail)

    def restore(self, mails: Iterable[Document]) -> None:
        """Take over what the disk kept."""
        for document in sorted(mails, key=lambda each: each["at"]):
            self._take(Mail(**document))

    def _take(self, mail: Mail) -> None:
        self._mails[mail.id] = mail
        if mail.status == "scheduled":
            self._scheduled[mail.id] = mail
        if "idempotency_key" in mail.request:
            self._by_request[_fingerprint(mail.request)] = mail

    def _forget(self, mail: Mail) -> None:
        del self._mails[mail.id]
        self._scheduled.pop(mail.id, None)
        fingerprint = _fingerprint(mail.request)
        if self._by_request.get(fingerprint) is mail:
            del self._by_request[fingerprint]
        self._unsaved.note("mail", mail.id, None)


def _fingerprint(request: Mapping[str, Any]) -> bytes:
    return orjson.dumps(request, option=orjson.OPT_SORT_KEYS)


def _merge(template: str, variables: Mapping[str, object]) -> str:
    """The text with each `{{name}}` replaced; by nothing where there is no such variable."""

    def value(found: re.Match[str]) -> str:
        merged = variables.get(found[1], "")
        return merged if isinstance(merged, str) else orjson.dumps(merged).decode()

    return _VARIABLE.sub(value, template)
