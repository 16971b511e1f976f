"""Meisa's side of a step, as the sandbox holds it: what came, and what automations made of it."""

from collections.abc import Iterator
from dataclasses import dataclass

from meisa_cdc.sandbox import Account, AutomationRun, Trigger

#: What an automation's action is called where it had an effect.
_DEEDS = {
    ("add_tag", "added"): "tag {} added",
    ("remove_tag", "removed"): "tag {} removed",
    ("enroll", "enrolled"): "enrolled in {}",
    ("unenroll", "removed"): "taken out of {}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """How far the sandbox's logs went at some moment."""

    triggers: int
    runs: int
    emails: int

    @classmethod
    def of(cls, account: Account) -> "Moment":
        """Return where they stand now."""
        return cls(
            triggers=len(account.triggers()),
            runs=len(account.automation_runs()),
            emails=len(account.emails()),
        )


def lines(account: Account, since: Moment) -> Iterator[str]:
    """Yield a line for each thing that happened since, and below it what reacted to it.

    The logs must not have forgotten anything.
    """
    reactions: dict[int, list[str]] = {}
    for run in account.automation_runs(since.runs):
        told = ", ".join(_deeds(run)) or "nothing was left to do"
        reactions.setdefault(run.trigger, []).append(f"    ⤷ {run.automation}: {told}")
    for trigger in account.triggers(since.triggers):
        if not trigger.caused_by:
            yield f"  {_name(account, trigger.email)}: {_what(trigger)}"
            yield from reactions.get(trigger.number, ())
    for mail in account.emails()[since.emails :]:
        name = _name(account, str(mail["to_email"]))
        yield f"  {name}: e-mail {mail['trigger_key']} {mail['status']}, “{mail['subject']}”"


def _deeds(run: AutomationRun) -> Iterator[str]:
    for action in run.actions:
        deed = _DEEDS.get((str(action["action"]), str(action["result"])))
        if deed is not None:
            yield deed.format(action["subject"])


def _what(trigger: Trigger) -> str:
    match trigger.kind:
        case "contact_created":
            return "is a contact"
        case "contact_updated":
            return "has new " + ", ".join(
                path.removeprefix("custom_fields.") for path in trigger.changes
            )
        case "tag_added":
            return f"tag {trigger.tag} added"
        case "tag_removed":
            return f"tag {trigger.tag} removed"
        case "custom_event":
            return f"event {trigger.event_name} tracked"
        case "sequence_enrolled":
            return f"enrolled in {trigger.sequence_slug}"


def _name(account: Account, email: str) -> str:
    contact = account.contact(email=email)
    return str(contact["full_name"]) if contact and contact["full_name"] else email
