"""A contact and the tags it carries."""

import re
import uuid
from dataclasses import asdict, dataclass, field

from meisa_cdc.sandbox.unsaved import Document
from meisa_cdc.sandbox.values import iso, iso_or_none

_TAG_COLOUR = "#64748b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A label that contacts can carry."""

    #: UUID
    id: str
    #: as first sent
    name: str
    #: the name in lower case, words joined with hyphens
    slug: str
    #: CSS colour
    color: str = _TAG_COLOUR

    def document(self) -> dict[str, object]:
        """The tag as contacts show it."""
        return {"id": self.id, "name": self.name, "slug": self.slug, "color": self.color}

    def stored(self) -> Document:
        """The tag as the disk keeps it."""
        return self.document()


def new_tag(name: str) -> Tag:
    """A tag of that name that no account has yet."""
    slug = re.sub(r"[\W_]+", "-", name.casefold()).strip("-")
    return Tag(id=str(uuid.uuid4()), name=name, slug=slug)


@dataclass(slots=True, kw_only=True)
class Contact:
    """One person Meisa writes to. Times are epoch seconds."""

    #: UUID
    id: str
    #: as last sent
    email: str
    #: how it came to Meisa; the first one stays
    source: str
    #: when it was created
    created_at: float
    #: when one of its fields or tags last changed
    updated_at: float
    #: the application's id of the user
    external_id: str | None = None
    #: given name, family name, and the name to show
    first_name: str = ""
    last_name: str = ""
    display_name: str = ""
    #: product data
    custom_fields: dict[str, object] = field(default_factory=dict)
    #: by name, in the order they were added
    tags: dict[str, Tag] = field(default_factory=dict)
    #: triggered e-mails that left, and when the last one did
    emails_sent: int = 0
    last_email_sent_at: float | None = None

    def document(self, status: str) -> dict[str, object]:
        """The full contact as the API shows it; nobody opens the sandbox's mail."""
        return {
            "id": self.id,
            "email": self.email,
            "first_name": self.first_name,
            "last_name": self.last_name,
            "full_name": f"{self.first_name} {self.last_name}".strip(),
            "display_name": self.display_name,
            "external_id": self.external_id,
            "source": self.source,
            "status": status,
            "custom_fields": dict(self.custom_fields),
            "tags": [tag.document() for tag in self.tags.values()],
            "preferences": {},
            "total_emails_sent": self.emails_sent,
            "total_emails_opened": 0,
            "open_rate": 0.0,
            "last_email_sent_at": iso_or_none(self.last_email_sent_at),
            "last_activity_at": None,
            "created_at": iso(self.created_at),
            "updated_at": iso(self.updated_at),
        }

    def stored(self) -> Document:
        """The contact as the disk keeps it."""
        return asdict(self)


def stored_contact(document: Document) -> Contact:
    """The contact that `stored` described."""
    tags = {name: Tag(**tag) for name, tag in document["tags"].items()}
    return Contact(**{**document, "tags": tags})
