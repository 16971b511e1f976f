"""Meisa's API: MeisaClient for applications, HttpMeisa for the sync, over one wire.

Nothing else in the package speaks HTTP to Meisa.
"""

from meisa_cdc.meisa.calls import BASE_URL
from meisa_cdc.meisa.client import MeisaClient, Source
from meisa_cdc.meisa.endpoints import BULK_LIMIT
from meisa_cdc.meisa.errors import (
    FixAddress,
    FixKey,
    FixRequest,
    MaybeDone,
    MeisaError,
    NotFound,
    TryLater,
    Unprocessable,
)
from meisa_cdc.meisa.http_meisa import HttpMeisa
from meisa_cdc.meisa.models import (
    Confirmation,
    Contact,
    ContactEnrollments,
    EmailSequence,
    Enrollment,
    PingAnswer,
    PingedKey,
    PingedProduct,
    SequenceEnrollment,
    SequenceList,
    Tag,
    TrackedEvent,
    TriggeredEmail,
    UnsubscribedEmails,
)
from meisa_cdc.meisa.refusals import MeisaRefused

__all__ = [
    "BASE_URL",
    "BULK_LIMIT",
    "Confirmation",
    "Contact",
    "ContactEnrollments",
    "EmailSequence",
    "Enrollment",
    "FixAddress",
    "FixKey",
    "FixRequest",
    "HttpMeisa",
    "MaybeDone",
    "MeisaClient",
    "MeisaError",
    "MeisaRefused",
    "NotFound",
    "PingAnswer",
    "PingedKey",
    "PingedProduct",
    "SequenceEnrollment",
    "SequenceList",
    "Source",
    "Tag",
    "TrackedEvent",
    "TriggeredEmail",
    "TryLater",
    "Unprocessable",
    "UnsubscribedEmails",
]
