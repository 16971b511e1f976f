"""Meisa's answers as the documents show them; what they leave open has a default.

What a call is made for is insisted on, the rest is told as far as it can be read: an e-mail was
sent, whatever the time beside it looks like. Members that the documents do not name are in
`model_extra`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticUseDefault

from meisa_cdc.core.suppression import addresses, whole
from meisa_cdc.ports import Ping

T = TypeVar("T")


def _or_default(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except ValidationError:
        raise PydanticUseDefault from None


def _positive(value: Any) -> Any:
    """Take a limit of nothing, or less, as one that was not told."""
    return None if isinstance(value, int) and value < 1 else value


def _in_utc(moment: datetime) -> datetime:
    # Without an offset it can only be meant as UTC, as all times of the API.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


#: Told as far as it can be read; else the default.
Told = Annotated[T, WrapValidator(_or_default)]
Id = Annotated[str, StringConstraints(min_length=1)]
Limit = Annotated[int | None, BeforeValidator(_positive)]
Moment = Told[Annotated[datetime, AfterValidator(_in_utc)] | None]


class MeisaAnswer(BaseModel):
    """The JSON object of a successful answer."""

    # Unknown members are Meisa's future, a number as text is its past: neither is our business.
    model_config = ConfigDict(extra="allow", frozen=True, coerce_numbers_to_str=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, body: Any) -> Any:
        if isinstance(body, dict):
            return {name: value for name, value in body.items() if value is not None}
        return body


class PingedKey(MeisaAnswer):
    """The key, as /ping/ describes it."""

    name: Told[str] = ""
    #: live or test.
    environment: str = ""
    scopes: Sequence[str] = ()
    rate_limit_per_minute: Limit = None
    rate_limit_per_hour: Limit = None

    @property
    def tells_scopes(self) -> bool:
        """Whether Meisa said which scopes there are, be it none."""
        return "scopes" in self.model_fields_set


class PingedProduct(MeisaAnswer):
    """The product that the key belongs to."""

    id: str = ""
    name: str = ""


class PingAnswer(MeisaAnswer):
    """What Meisa says about the key."""

    status: Told[str] = ""
    api_key: PingedKey
    product: PingedProduct = PingedProduct()

    def ping(self) -> Ping:
        """Return it in the words of the use cases."""
        return Ping(
            product=self.product.id,
            product_name=self.product.name,
            environment=self.api_key.environment,
            scopes=tuple(self.api_key.scopes) if self.api_key.tells_scopes else None,
            per_minute=self.api_key.rate_limit_per_minute,
            per_hour=self.api_key.rate_limit_per_hour,
        )


class Tag(MeisaAnswer):
    """A tag of a contact."""

    name: str
    id: Told[str] = ""
    slug: Told[str] = ""
    color: Told[str] = ""


class Contact(MeisaAnswer):
    """A contact as Meisa holds it."""

    #: Meisa's id, for the calls about tags.
    id: Id
    email: str
    external_id: Told[str] = ""
    first_name: Told[str] = ""
    last_name: Told[str] = ""
    full_name: Told[str] = ""
    display_name: Told[str] = ""
    #: What created it: api, import, manual, signup or initial_sync.
    source: Told[str] = ""
    #: active, or why it is not e-mailed; Meisa alone sets it.
    status: Told[str] = ""
    custom_fields: Told[Mapping[str, Any]] = {}
    tags: Told[tuple[Tag, ...]] = ()
    preferences: Told[Any] = None
    total_emails_sent: Told[int | None] = None
    total_emails_opened: Told[int | None] = None
    open_rate: Told[float | None] = None
    last_email_sent_at: Moment = None
    last_activity_at: Moment = None
    created_at: Moment = None
    updated_at: Moment = None


class TrackedEvent(MeisaAnswer):
    """An event on record."""

    #: tracked.
    status: Id
    contact_id: Told[str] = ""
    event_name: Told[str] = ""
    timestamp: Moment = None


class TriggeredEmail(MeisaAnswer):
    """What became of a triggered e-mail."""

    #: sent; scheduled where the trigger has a delay; skipped where its conditions are not met.
    status: Id
    #: Why it was skipped: conditions_not_met.
    reason: Told[str] = ""
    email_send_id: Told[str] = ""
    contact_id: Told[str] = ""
    contact_created: Told[bool | None] = None
    trigger_key: Told[str] = ""
    timestamp: Moment = None


class Enrollment(MeisaAnswer):
    """A contact's way through a sequence, just begun."""

    id: Id
    contact_email: Told[str] = ""
    sequence_slug: Told[str] = ""
    status: Told[str] = ""
    enrolled_at: Moment = None
    next_step_at: Moment = None


class EmailSequence(MeisaAnswer):
    """A sequence of e-mails."""

    slug: str
    id: Told[str] = ""
    name: Told[str] = ""
    status: Told[str] = ""
    total_enrolled: Told[int | None] = None


class SequenceList(MeisaAnswer):
    """The sequences that were asked for."""

    results: tuple[EmailSequence, ...]


class SequenceEnrollment(MeisaAnswer):
    """One sequence that a contact is or was in."""

    sequence_slug: str
    status: Told[str] = ""
    enrolled_at: Moment = None
    emails_sent: Told[int | None] = None


class ContactEnrollments(MeisaAnswer):
    """Every sequence that a contact is or was in."""

    email: str = ""
    contact_exists: bool
    enrollments: tuple[SequenceEnrollment, ...] = ()


class Confirmation(MeisaAnswer):
    """Done; the documents do not show what such an answer holds."""

    #: The JSON value that came, as it is; None where there was none.
    said: Any = None

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, body: Any) -> Any:
        return {"said": body}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsubscribedEmails:
    """Every address that must not be e-mailed; ask with `in`, which knows no upper case."""

    #: When Meisa made the list.
    as_of: datetime
    #: Lower-cased and distinct.
    emails: frozenset[str]
    #: Entries that were no addresses.
    malformed: int = 0

    def __contains__(self, address: str) -> bool:
        return address.strip().lower() in self.emails

    @classmethod
    def of(cls, body: object) -> "UnsubscribedEmails":
        """Return the list of an answer's body. Raises PullFailed where it is not whole."""
        as_of, entries = whole(body)
        emails, malformed = addresses(entries)
        return cls(as_of=datetime.fromtimestamp(as_of, UTC), emails=emails, malformed=malformed)
