"""What people configure in Meisa and requests refer to: sequences and e-mail triggers."""

from dataclasses import dataclass
from typing import Literal

from meisa_cdc.sandbox.automations.rules import Condition
from meisa_cdc.sandbox.errors import OptionError

SequenceStatus = Literal["active", "inactive"]

_DAY = 86_400.0

#: Seconds that an e-mail can be put off; nobody waits longer for a sandbox.
_LONGEST = 3650 * _DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """A series of e-mails that contacts are enrolled in."""

    #: what requests call it
    slug: str
    #: for people
    name: str = ""
    #: only an active one takes new contacts
    status: SequenceStatus = "active"
    #: seconds before each e-mail, counted from the one before; without any it never ends
    steps: tuple[float, ...] = (0.0, _DAY, 3 * _DAY)

    def __post_init__(self) -> None:
        if not self.slug.strip():
            raise OptionError("sequences: a slug cannot be blank")
        if any(step < 0 for step in self.steps) or not sum(self.steps) <= _LONGEST:
            raise OptionError(f"sequences: the steps of {self.slug} must last 0 s to 3650 days")

    @property
    def title(self) -> str:
        """Its name, or what one would call it."""
        return self.name or self.slug.replace("-", " ").capitalize()


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailTrigger:
    """An e-mail that requests can have sent."""

    #: what requests call it: the trigger_key
    key: str
    #: only an active one is sent
    active: bool = True
    #: seconds between the request and the e-mail
    delay: float = 0.0
    #: address it comes from; None if nobody has set one up
    sender: str | None = "sandbox@example.com"
    #: texts in which `{{name}}` stands for the variable of that name
    subject: str = ""
    text: str = ""
    #: must hold for the recipient, else the e-mail is skipped
    conditions: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        if not self.key.strip():
            raise OptionError("email-triggers: a key cannot be blank")
        if not 0 <= self.delay <= _LONGEST:
            raise OptionError(f"email-triggers: the delay of {self.key} must be 0 s to 3650 days")


#: The names the API documents use in their examples, so that those can be tried as they are.
DEFAULT_SEQUENCES = tuple(Sequence(slug=slug) for slug in ("onboarding", "welcome-pro", "win-back"))
DEFAULT_EMAIL_TRIGGERS = (
    EmailTrigger(
        key="verification_code", subject="Your code is {{code}}", text="{{name}}: {{code}}"
    ),
    EmailTrigger(key="payment_failure", subject="A payment failed"),
    EmailTrigger(key="agency_client_invite", subject="You are invited"),
)
