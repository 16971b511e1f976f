"""`meisa-cdc baseline`: the present counts as sent."""

from collections.abc import Iterable, Mapping as Dict
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from meisa_cdc.cli.amounts import amount
from meisa_cdc.cli.command import command
from meisa_cdc.cli.selection import Exclude, Select, selected
from meisa_cdc.cli.session import Session

if TYPE_CHECKING:
    from meisa_cdc.core.mapping import Mapping
    from meisa_cdc.ports import State

Fields = Annotated[
    list[str] | None,
    typer.Option("--field", metavar="FIELD", help="Only this field, such as custom_fields.plan."),
]
FAILED = 1


@command("meisa-cdc baseline", "meisa-cdc baseline --select contacts/plan --field plan")
def baseline(
    session: Session, *, select: Select = None, exclude: Exclude = None, fields: Fields = None
) -> int:
    """Take what the mappings yield now as already sent, and send nothing.

    For an existing user base that Meisa knows already, or for a new field whose present values
    nobody needs to react to.
    """
    from meisa_cdc.sync.overrides import baseline as take
    from meisa_cdc.wiring import Wiring, recorded

    wiring = Wiring.of(session.settings())
    mappings = wiring.mappings()
    names = selected([n for n, m in mappings.items() if m.enabled], select, exclude)
    with wiring.state_to_lead("baseline") as state:
        chosen = fields_named(fields, known_fields(state, mappings))
        with recorded(state, wiring.clock, "baseline") as recording:
            passes = wiring.passes(state, wiring.windows(state), mappings)
            done = take(passes, names, chosen)
            document = {
                "run_id": recording.id,
                "contacts": done.contacts,
                "fields": done.fields,
                "in_doubt": done.in_doubt,
                "occurrences": done.occurrences,
                "failures": list(done.failures),
            }
            code = FAILED if done.failures else 0
            recording.exit_code, recording.result = code, document
    session.output.json(document)
    session.output.text(
        f"Taken as sent: {amount(done.fields, 'field')} of {amount(done.contacts, 'contact')}. "
        "Nothing was sent."
    )
    if done.occurrences:
        session.output.text(f"Taken as done: {done.occurrences} events, e-mails and enrolments.")
    if done.in_doubt:
        session.output.text(
            f"{done.in_doubt} fields are in doubt and stay so: they are sent again in any case."
        )
    for message in done.failures:
        session.output.text(f"FAILED {message}")
    return code


def fields_named(names: list[str] | None, known: Iterable[str]) -> frozenset[str] | None:
    """Return the fields that are meant; a plain name is a column, attribute or custom field.

    Raises a usage error for one that no mapping yields or ever yielded.
    """
    from meisa_cdc.core.contact import CUSTOM, field_of

    if not names:
        return None
    meant = frozenset(name if name.startswith(CUSTOM) else field_of(name) for name in names)
    every = sorted(known)
    for name in sorted(meant - set(every)):
        near = get_close_matches(name, every, 1)
        hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(every) or 'none'}."
        message = f"--field {name}: no mapping yields it. {hint}"
        raise typer.BadParameter(message)
    return meant


def known_fields(state: "State", mappings: "Dict[str, Mapping]") -> frozenset[str]:
    """Return the fields that mappings yield, as far as their text or an earlier look tells."""
    from meisa_cdc.core.contact import KEY_COLUMN, field_of
    from meisa_cdc.core.mapping import ONCE, kind_of
    from meisa_cdc.sync.overrides import fields_of
    from meisa_cdc.sync.passes import UNMAPPED

    once = {mapping.name for mapping in mappings.values() if mapping.kind in ONCE}
    stated = {
        c for mapping in mappings.values() if mapping.name not in once for c in mapping.columns
    }
    known = (record for record in state.mappings().values() if kind_of(record.name) not in ONCE)
    return (
        frozenset(field_of(column) for column in stated - {KEY_COLUMN})
        | fields_of(known)
        | frozenset(state.note(UNMAPPED) or ())
    )
