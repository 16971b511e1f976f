"""The shapes of answers, in JSON Schema. Nothing that is not listed is ever answered."""

from collections.abc import Mapping

from meisa_cdc.sandbox.fields import Schema
from meisa_cdc.sandbox.options import SCOPES

TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
UUID: Schema = {"type": "string", "format": "uuid"}
TIME: Schema = {"type": "string", "format": "date-time"}
TIME_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
ANYTHING: Schema = {"type": "object"}


def words(*choice: str) -> Schema:
    """One of these texts."""
    return {"type": "string", "enum": list(choice)}


def array_of(items: Schema) -> Schema:
    """A list of these."""
    return {"type": "array", "items": items}


def closed(
    properties: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None
) -> Schema:
    """An object with these properties, perhaps with the optional ones, and no others."""
    return {
        "type": "object",
        "properties": {**properties, **(optional or {})},
        "required": list(properties),
        "additionalProperties": False,
    }


TAG = closed({"id": UUID, "name": TEXT, "slug": TEXT, "color": TEXT})

CONTACT = closed(
    {
        "id": UUID,
        "email": TEXT,
        "first_name": TEXT,
        "last_name": TEXT,
        "full_name": TEXT,
        "display_name": TEXT,
        "external_id": TEXT_OR_NULL,
        "source": words("api", "import", "manual", "signup", "initial_sync"),
        "status": words("active", "unsubscribed"),
        "custom_fields": ANYTHING,
        "tags": array_of(TAG),
        "preferences": ANYTHING,
        "total_emails_sent": COUNT,
        "total_emails_opened": COUNT,
        "open_rate": {"type": "number", "minimum": 0, "maximum": 1},
        "last_email_sent_at": TIME_OR_NULL,
        "last_activity_at": TIME_OR_NULL,
        "created_at": TIME,
        "updated_at": TIME,
    }
)

PING = closed(
    {
        "status": words("ok"),
        "api_key": closed(
            {"name": TEXT, "environment": TEXT, "scopes": array_of(words(*SCOPES))},
            {"rate_limit_per_minute": COUNT, "rate_limit_per_hour": COUNT},
        ),
        "product": closed({"id": TEXT, "name": TEXT}),
    }
)

UNSUBSCRIBED = closed({"as_of": TIME, "count": COUNT, "emails": array_of(TEXT)})

TRACKED = closed(
    {"status": words("tracked"), "contact_id": UUID, "event_name": TEXT, "timestamp": TIME}
)

_MAIL: Mapping[str, Schema] = {
    "email_send_id": UUID,
    "contact_id": UUID,
    "contact_created": FLAG,
    "trigger_key": TEXT,
    "timestamp": TIME,
}
MAIL_SCHEDULED = closed({"status": words("scheduled"), **_MAIL})
MAIL_SENT_OR_SKIPPED: Schema = {
    "oneOf": [
        closed({"status": words("sent"), **_MAIL}),
        closed({"status": words("skipped"), "reason": words("conditions_not_met")}),
    ]
}

_ENROLLMENT_STATUS = words("active", "completed", "removed")
ENROLLED = closed(
    {
        "id": UUID,
        "contact_email": TEXT,
        "sequence_slug": TEXT,
        "status": _ENROLLMENT_STATUS,
        "enrolled_at": TIME,
        "next_step_at": TIME_OR_NULL,
    }
)
BULK_ENROLLED = closed({"sequence_slug": TEXT, "enrolled": COUNT, "skipped": COUNT})
SEQUENCES = closed(
    {
        "results": array_of(
            closed(
                {
                    "id": UUID,
                    "slug": TEXT,
                    "name": TEXT,
                    "status": words("active", "inactive"),
                    "total_enrolled": COUNT,
                }
            )
        )
    }
)
ENROLLMENTS = closed(
    {
        "email": TEXT,
        "contact_exists": FLAG,
        "enrollments": array_of(
            closed(
                {
                    "sequence_slug": TEXT,
                    "status": _ENROLLMENT_STATUS,
                    "enrolled_at": TIME,
                    "emails_sent": COUNT,
                    "next_step_at": TIME_OR_NULL,
                }
            )
        ),
    }
)

#: Every error: a message, and what a program may want to read.
ERROR = closed({"message": TEXT}, {"field": TEXT, "required_scope": words(*SCOPES)})
