"""What happens to a contact and what automations react to."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal, get_args

from meisa_cdc.sandbox.unsaved import Document

TriggerKind = Literal[
    "contact_created",
    "contact_updated",
    "tag_added",
    "tag_removed",
    "custom_event",
    "sequence_enrolled",
]

KINDS: tuple[TriggerKind, ...] = get_args(TriggerKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """Something that happened to a contact and that automations can react to."""

    #: position in the log, from 1
    number: int
    #: epoch seconds
    at: float
    #: which of the documented triggers
    kind: TriggerKind
    #: Meisa's id of the contact
    contact_id: str
    #: the contact's external_id, if it has one
    external_id: str | None
    #: the contact's e-mail after the change
    email: str
    #: path of each changed field -> (old, new); of contact_updated only
    changes: Mapping[str, tuple[object, object]] = field(default_factory=dict)
    #: the tag's name; of tag_added and tag_removed only
    tag: str | None = None
    #: the event's name and properties; of custom_event only
    event_name: str | None = None
    properties: Mapping[str, object] = field(default_factory=dict)
    #: the sequence; of sequence_enrolled only
    sequence_slug: str | None = None
    #: names of the automations that led to it, the first one first; empty if a request did
    caused_by: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Its kind, for counting."""
        return self.kind

    @property
    def subject(self) -> str | None:
        """The tag, event or sequence it is about; None of a contact's own triggers."""
        return self.tag or self.event_name or self.sequence_slug

    def document(self) -> dict[str, object]:
        """The trigger as JSON."""
        return {
            "number": self.number,
            "at": self.at,
            "kind": self.kind,
            "contact_id": self.contact_id,
            "external_id": self.external_id,
            "email": self.email,
            "changes": {
                path: {"from": old, "to": new} for path, (old, new) in self.changes.items()
            },
            "tag": self.tag,
            "event_name": self.event_name,
            "properties": dict(self.properties),
            "sequence_slug": self.sequence_slug,
            "caused_by": list(self.caused_by),
        }

    def stored(self) -> Document:
        """The trigger as the disk keeps it."""
        return asdict(self)


def stored_trigger(document: Document) -> Trigger:
    """The trigger that `stored` described."""
    changes = {path: (old, new) for path, (old, new) in document["changes"].items()}
    caused_by = tuple(document["caused_by"])
    return Trigger(**{**document, "changes": changes, "caused_by": caused_by})
