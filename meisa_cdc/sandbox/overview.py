"""What the page shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from meisa_cdc.sandbox.journal import Journal, RequestRecord
from meisa_cdc.sandbox.mails import Mail
from meisa_cdc.sandbox.options import SandboxOptions
from meisa_cdc.sandbox.records import Records
from meisa_cdc.sandbox.runs import AutomationRun
from meisa_cdc.sandbox.triggers import Trigger


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Figures, and the latest of everything, newest first."""

    #: number of contacts, and the ones touched last as the API shows them
    contacts: int
    recent: list[dict[str, object]]
    #: enrolments of those contacts, by the contact's id
    enrollments: Mapping[object, list[dict[str, object]]]
    #: triggers ever fired by kind, and the last ones
    trigger_counts: Mapping[str, int]
    triggers: list[Trigger]
    #: the last runs of automations
    runs: list[AutomationRun]
    #: the last e-mails
    emails: list[Mail]
    #: requests ever received, and by status
    requests: int
    statuses: Mapping[str, int]
    #: number of suppressed addresses
    suppressed: int
    #: what was chosen at the start
    options: SandboxOptions


def look_over(
    records: Records,
    requests: Journal[RequestRecord],
    now: float,
    *,
    contacts: int,
    entries: int,
) -> Overview:
    """At most so many contacts, and so many entries of each log."""
    recent = list(islice(records.contacts.recent(), contacts))
    return Overview(
        contacts=len(records.contacts),
        recent=[records.describe(contact) for contact in recent],
        enrollments={
            contact.id: [each.document(now) for each in records.enrollments.of(contact)]
            for contact in recent
        },
        trigger_counts=dict(sorted(records.triggers.counts.items())),
        triggers=records.triggers.since(records.triggers.total - entries)[::-1],
        runs=records.runs.since(records.runs.total - entries)[::-1],
        emails=records.outbox.all()[-entries:][::-1],
        requests=requests.total,
        statuses=dict(sorted(requests.counts.items())),
        suppressed=len(records.suppressed),
        options=records.options,
    )
