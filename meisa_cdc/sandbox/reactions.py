"""Automations at work: shows them each trigger, and carries out what they decide."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from meisa_cdc.sandbox.automations.deciding import is_looping, reacts
from meisa_cdc.sandbox.automations.rules import (
    Action,
    AddTag,
    Automation,
    Enroll,
    Notify,
    RemoveTag,
    SetField,
    Unenroll,
)
from meisa_cdc.sandbox.contact import Contact
from meisa_cdc.sandbox.records import Records
from meisa_cdc.sandbox.runs import AutomationRun, RunOutcome
from meisa_cdc.sandbox.triggers import Trigger, TriggerKind

#: Runs that the triggers of one contact can set off in one request, chains included.
MOST_RUNS = 1000


def react(records: Records, now: float) -> None:
    """Show the automations every fresh trigger, also those they fire themselves, until none is.

    It ends: an automation does not react to what it caused, and once a contact's triggers set
    off MOST_RUNS runs, its further ones are only recorded.
    """
    runs: Counter[str] = Counter()
    while records.fresh:
        trigger, contact = records.fresh.popleft()
        for automation in _reacting(records, trigger, contact):
            if runs[contact.id] > MOST_RUNS:
                break
            runs[contact.id] += 1
            outcome = _outcome(automation, trigger, runs[contact.id])
            _run(records, automation, trigger, contact, outcome, now)


def _reacting(records: Records, trigger: Trigger, contact: Contact) -> Iterator[Automation]:
    """One by one, since what one does can be what the next one's conditions look at."""
    for automation in records.options.automations:
        # The facts are worth gathering only for the right kind.
        if automation.when.kind == trigger.kind and reacts(
            automation, trigger, records.facts(contact)
        ):
            yield automation


def _outcome(automation: Automation, trigger: Trigger, runs: int) -> RunOutcome:
    if runs > MOST_RUNS:
        return "limit"
    return "loop" if is_looping(automation, trigger) else "ran"


def _run(
    records: Records,
    automation: Automation,
    trigger: Trigger,
    contact: Contact,
    outcome: RunOutcome,
    now: float,
) -> None:
    caused_by = (*trigger.caused_by, automation.name)
    hand = _Hand(records=records, contact=contact, now=now, caused_by=caused_by)
    actions = automation.actions if outcome == "ran" else ()
    done = tuple(map(hand.carry_out, actions))
    records.runs.add(
        lambda number: AutomationRun(
            number=number,
            at=now,
            automation=automation.name,
            trigger=trigger.number,
            contact_id=contact.id,
            external_id=contact.external_id,
            email=contact.email,
            outcome=outcome,
            actions=done,
        )
    )


@dataclass(frozen=True, kw_only=True)
class _Hand:
    """What carries out the actions of one run."""

    records: Records
    contact: Contact
    now: float
    caused_by: tuple[str, ...]

    def carry_out(self, action: Action) -> dict[str, object]:
        """Do it; what was done, to what, and what came of it, for the log."""
        match action:
            case AddTag(tag=tag):
                return _done("add_tag", tag, self._add_tag(tag))
            case RemoveTag(tag=tag):
                return _done("remove_tag", tag, self._remove_tag(tag))
            case SetField(name=name, value=value):
                return _done("set_field", f"custom_fields.{name}", self._set_field(name, value))
            case Enroll(sequence=slug):
                return _done("enroll", slug, self._enroll(slug))
            case Unenroll(sequence=slug):
                return _done("unenroll", slug, self._unenroll(slug))
            case Notify(text=text):
                return _done("notify", text, "recorded")
            case _:
                assert_never(action)

    def _fire(self, kind: TriggerKind, **details: object) -> None:
        self.records.fire(kind, self.contact, self.now, caused_by=self.caused_by, **details)

    def _add_tag(self, tag: str) -> str:
        if not self.records.contacts.add_tag(self.contact, tag, self.now):
            return "was there"
        self._fire("tag_added", tag=tag)
        return "added"

    def _remove_tag(self, tag: str) -> str:
        if not self.records.contacts.remove_tag(self.contact, tag, self.now):
            return "was not there"
        self._fire("tag_removed", tag=tag)
        return "removed"

    def _set_field(self, name: str, value: object) -> str:
        changes = self.records.contacts.set_field(self.contact, name, value, self.now)
        if not changes:
            return "was so"
        self._fire("contact_updated", changes=changes)
        return "set"

    def _enroll(self, slug: str) -> str:
        sequence = self.records.active_sequence(slug)
        if sequence is None:
            return "sequence is not active"
        if self.contact.email in self.records.suppressed:
            return "unsubscribed"
        if self.records.enrollments.current(self.contact, slug, self.now) is not None:
            return "was in it"
        self.records.enrollments.add(self.contact, sequence, self.now, trigger_source="automation")
        self._fire("sequence_enrolled", sequence_slug=slug)
        return "enrolled"

    def _unenroll(self, slug: str) -> str:
        enrollment = self.records.enrollments.current(self.contact, slug, self.now)
        if enrollment is None:
            return "was not in it"
        self.records.enrollments.end(enrollment, self.now)
        return "removed"


def _done(action: str, subject: str, result: str) -> dict[str, object]:
    return {"action": action, "subject": subject, "result": result}
