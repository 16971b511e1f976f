"""What automations did."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from meisa_cdc.sandbox.unsaved import Document

#: `ran`, or why it did not although it was to react: `loop`, its own doing led to the trigger;
#: `limit`, one request had set off too many already
RunOutcome = Literal["ran", "loop", "limit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomationRun:
    """One reaction of one automation to one trigger."""

    #: position in the log, from 1
    number: int
    #: epoch seconds
    at: float
    #: the automation's name
    automation: str
    #: number of the trigger in its log
    trigger: int
    #: whom it was about
    contact_id: str
    external_id: str | None
    email: str
    outcome: RunOutcome
    #: one each action, in order: `action`, what it is about, and `result`, what came of it
    actions: tuple[Mapping[str, object], ...] = ()

    @property
    def label(self) -> str:
        """Its automation, for counting."""
        return self.automation

    def stored(self) -> Document:
        """The run as JSON."""
        return asdict(self)


def stored_run(document: Document) -> AutomationRun:
    """The run that `stored` described."""
    return AutomationRun(**{**document, "actions": tuple(document["actions"])})
