"""`meisa-cdc check`: a line for each thing that has to be right."""

from collections.abc import Callable, Iterator, Mapping as Dict
from dataclasses import asdict
from typing import TYPE_CHECKING

from meisa_cdc.cli.amounts import amount
from meisa_cdc.cli.command import command
from meisa_cdc.cli.finding import Finding
from meisa_cdc.cli.remote_checks import look_at_meisa
from meisa_cdc.cli.selection import valid
from meisa_cdc.cli.session import Session
from meisa_cdc.core.contact import KEY_COLUMN
from meisa_cdc.core.errors import MeisaCdcError
from meisa_cdc.core.mapping import EMAILS

if TYPE_CHECKING:
    from meisa_cdc.core.mapping import Mapping
    from meisa_cdc.source.affected.answers import Derivation
    from meisa_cdc.source.database import AppDatabase
    from meisa_cdc.source.snapshot import DatabaseSnapshot
    from meisa_cdc.wiring import Wiring

FAILED = 1
LAST_TIME = "9999-12-31 00:00:00"


@command("meisa-cdc check", "meisa-cdc check --format json")
def check(session: Session) -> int:
    """Check settings, connections, mappings and the API key, a line each.

    The app database is only read, and no contact is sent; Meisa is asked about the key once, and
    about its sequences where mappings enrol in some.
    """
    from meisa_cdc.wiring import Wiring

    wiring = Wiring.of(session.settings())
    findings: list[Finding] = [Finding(what="settings", verdict="ok", text="read")]
    for look in (_state, _files, _mappings, _rights, _suppressions, look_at_meisa):
        findings.extend(_told(look, wiring))
    for finding in findings:
        session.output.text(f"{finding.verdict:<6}  {finding.what}: {finding.text}")
    session.output.json({"findings": [asdict(finding) for finding in findings]})
    return FAILED if any(finding.verdict == "failed" for finding in findings) else 0


def _told(look: "Callable[[Wiring], Iterator[Finding]]", wiring: "Wiring") -> Iterator[Finding]:
    """Yield what a look finds; what it cannot do is a finding too."""
    try:
        yield from look(wiring)
    except MeisaCdcError as error:
        yield Finding(what=NAMES[look.__name__], verdict="failed", text=str(error))


NAMES = {
    "_state": "state",
    "_files": "mappings",
    "_mappings": "app database",
    "_rights": "app database",
    "_suppressions": "suppression table",
    "look_at_meisa": "Meisa",
}


def _state(wiring: "Wiring") -> Iterator[Finding]:
    with wiring.state_to_read() as state:
        counts = state.counts()
        # One without contacts belongs to nobody yet.
        known = state.belongs_to() if counts.contacts else None
    filled = amount(counts.contacts, "contact") if counts.contacts else "empty"
    whose = f", filled from {known['product']} ({known['environment']})" if known else ""
    yield Finding(what="state", verdict="ok", text=f"{wiring.settings.state.url}, {filled}{whose}")


def _mappings(wiring: "Wiring") -> Iterator[Finding]:
    from meisa_cdc.core.mapping import ONCE, check_columns, check_set
    from meisa_cdc.core.occurrence import check_columns as check_once

    mappings = valid(wiring)
    of_contacts = {name for name, each in mappings.items() if each.kind not in ONCE}
    columns: dict[str, list[str]] = {}
    source = wiring.source()
    with source.snapshot() as snapshot:
        yield Finding(
            what="app database",
            verdict="ok",
            text=f"{wiring.settings.require_app_database()}, read-only snapshot",
        )
        for name, mapping in mappings.items():
            if not mapping.enabled:
                yield Finding(what=name, verdict="note", text="switched off")
                continue
            try:
                columns[name] = [column.name for column in snapshot.columns(mapping)]
                checked = check_columns if name in of_contacts else check_once
                checked(mapping, columns[name])
                yield _mapping(mapping, snapshot, columns[name])
                yield from _sample(mapping, snapshot, columns[name])
                yield from _capture(mapping, source, snapshot)
            except MeisaCdcError as error:
                # The error names the mapping by itself, often with the line.
                text = str(error).removeprefix(f"{name}: ").removeprefix(f"{name}.sql: ")
                yield Finding(what=name, verdict="failed", text=text)
    described = {name: names for name, names in columns.items() if name in of_contacts}
    yield from _nulls(mappings, described)
    if mappings and len(described) == sum(mappings[name].enabled for name in of_contacts):
        found = check_set(described)
        yield Finding(what="identity", verdict="ok", text=f"e-mail comes from {found}")
    if (
        any(each.kind == EMAILS for each in mappings.values())
        and not wiring.settings.emails.enabled
    ):
        yield Finding(
            what=EMAILS,
            verdict="note",
            text="not enabled: set emails.enabled to true, and the mappings in emails/ are read",
        )


def _files(wiring: "Wiring") -> Iterator[Finding]:
    """Yield nothing; where a file is no mapping, none of them is used."""
    wiring.mappings()
    yield from ()


def _nulls(mappings: "Dict[str, Mapping]", columns: "Dict[str, list[str]]") -> Iterator[Finding]:
    """Yield the columns whose NULLs are sent."""
    from meisa_cdc.core.mapping import null_is_sent

    nullable = sorted(
        column
        for name, names in columns.items()
        for column in names
        if column != KEY_COLUMN and null_is_sent(mappings[name], column)
    )
    if nullable:
        yield Finding(
            what="NULL",
            verdict="note",
            text="sent as JSON null, which Meisa's documents do not mention, for "
            f"{', '.join(nullable)}; null='skip' in a mapping's config leaves the old value",
        )


def _mapping(mapping: "Mapping", snapshot: "DatabaseSnapshot", columns: list[str]) -> Finding:
    fields = ", ".join(name for name in columns if name != KEY_COLUMN)
    purpose = f"{mapping.purpose.splitlines()[0]} " if mapping.purpose else ""
    return Finding(
        what=mapping.name,
        verdict="ok",
        text=f"{purpose}[{fields}] {snapshot.explain(mapping)}",
    )


def _sample(
    mapping: "Mapping", snapshot: "DatabaseSnapshot", columns: list[str]
) -> Iterator[Finding]:
    """Yield what the first rows tell of values that are not sent as they stand."""
    from meisa_cdc.core.values import loses_digits

    rows = next(snapshot.read(mapping), ())
    rounded = sorted(
        {
            column
            for row in rows
            for column, value in zip(columns, row, strict=True)
            if loses_digits(value) and mapping.settings_of(column).type != "string"
        }
    )
    if rounded:
        yield Finding(
            what=mapping.name,
            verdict="note",
            text=f"{', '.join(rounded)}: more digits than a JSON number holds, sent as the nearest "
            "one; declare type 'string' to send them all",
        )


def _capture(
    mapping: "Mapping", source: "AppDatabase", snapshot: "DatabaseSnapshot"
) -> Iterator[Finding]:
    """Yield how changes are found, and what that misses until the next full read."""
    from meisa_cdc.core.captures import LOG, WATERMARK
    from meisa_cdc.core.mapping import ONCE

    capture = snapshot.capture(mapping)
    if capture.kind == WATERMARK:
        # Nothing is that new; what cannot be compared with a time is refused all the same.
        next(snapshot.keys_since(mapping, LAST_TIME), None)
    unmet = mapping.capture == LOG != capture.kind
    yield Finding(
        what=mapping.name,
        verdict="note" if unmet else "ok",
        text=f"capture {capture.kind}: {capture.why}",
    )
    if capture.kind == LOG:
        yield from (
            Finding(what=mapping.name, verdict="note", text=text)
            for text in _left_to_scans(snapshot.derivation(mapping))
        )
    key = "" if mapping.kind in ONCE else source.calculated_key(mapping)
    if key:
        yield Finding(
            what=mapping.name,
            verdict="note",
            text=f"the key is {key}, by which no index on a column finds rows: to read some "
            "contacts alone may take as long as all. Write {{ only('…') }} with that column where "
            "a condition may stand",
        )


def _left_to_scans(derivation: "Derivation") -> Iterator[str]:
    """Yield what the log of changed rows does not tell."""
    from meisa_cdc.source.affected.answers import FullScan

    if derivation.unsteady:
        names = ", ".join(derivation.unsteady)
        yield f"{names} changes of itself: what comes of that is seen by the full read alone"
    for table in derivation.tables:
        if isinstance(table.answer, FullScan):
            advice = f". {table.answer.advice}" if table.answer.advice else ""
            yield (
                f"a change of {table.table} has all rows read, since {table.answer.reason}{advice}"
            )


def _rights(wiring: "Wiring") -> Iterator[Finding]:
    table = wiring.settings.suppression.table
    ours = (table, "meisa_suppression_status", "meisa_suppression_events")
    for line in wiring.source().read_only_proof(ours=ours):
        yield Finding(what="app database", verdict="note", text=f"more than read-only: {line}")


def _suppressions(wiring: "Wiring") -> Iterator[Finding]:
    problem = wiring.suppression_table().problem()
    yield Finding(
        what="suppression table",
        verdict="ok" if problem is None else "failed",
        text=problem or f"{wiring.settings.suppression.table}, {wiring.settings.suppression_url()}",
    )
