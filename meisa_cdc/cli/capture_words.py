"""How the log of changed rows is shown, to people and to programs."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meisa_cdc.source.affected.answers import FullScan
    from meisa_cdc.source.database import AppDatabase
    from meisa_cdc.source.log_setup import LogSetup
    from meisa_cdc.source.needs import Need
    from meisa_cdc.source.slot_plan import Problem, Step


def problems_of(problems: "Iterable[Problem]") -> list[dict[str, str]]:
    """Return problems for programs."""
    return [{"problem": each.what, "advice": each.advice} for each in problems]


def statements_of(steps: "Iterable[Step]") -> list[dict[str, str]]:
    """Return statements for programs."""
    return [{"sql": each.sql, "why": each.why} for each in steps]


def mappings_of(needs: "Iterable[Need]") -> list[dict[str, Any]]:
    """Return for programs which mappings a log helps, and which not."""
    return [
        {
            "mapping": each.mapping,
            "followed": each.scan is None,
            "tables": {table: sorted(columns) for table, columns in sorted(each.tables.items())},
            "reason": None if each.scan is None else each.scan.reason,
            "advice": None if each.scan is None else each.scan.advice or None,
        }
        for each in needs
    ]


def following(needs: "Iterable[Need]") -> Iterator[str]:
    """Yield a line for each mapping."""
    for each in needs:
        if each.scan is None:
            yield f"{each.mapping}: followed, reads {', '.join(sorted(each.tables))}"
        else:
            advice = f". {each.scan.advice}" if each.scan.advice else ""
            yield f"{each.mapping}: not followed, since {each.scan.reason}{advice}"


def done(step: "Step") -> str:
    """Return the line for a statement that was run."""
    first, more, _ = step.sql.partition("\n")
    return f"done  {first}{' …' if more else ''}"


def heading(place: str, seen: "LogSetup", problems: "Sequence[Problem]") -> Iterator[str]:
    """Yield what stands above the statements."""
    yield f"A log of changed rows in {place}, for"
    for line in following(seen.needs):
        yield f"  {line}"
    if problems:
        yield "To be put right first:"
    for each in problems:
        yield f"  {each.what}. {each.advice}".rstrip()


def status_document(
    source: "AppDatabase",
    seen: "LogSetup",
    captures: list[dict[str, Any]],
    dropped: dict[str, Any] | None,
) -> dict[str, Any]:
    """Return what there is, and how each mapping's changes are found."""
    scans = {need.mapping: need.scan for need in seen.needs}
    there = seen.document()
    return {
        "name": source.log,
        "slot": there["slot"],
        "max_wal_bytes": source.max_wal,
        "publication": there["publication"],
        "triggers": there["triggers"],
        "missing": statements_of(seen.steps),
        "mappings": [each | _unfollowed(scans.get(each["mapping"])) for each in captures],
        "dropped": dropped,
        "problems": problems_of(there["problems"]),
    }


def _unfollowed(scan: "FullScan | None") -> dict[str, str | None]:
    if scan is None:
        return {"not_followed": None, "advice": None}
    return {"not_followed": scan.reason, "advice": scan.advice or None}


def status_lines(document: dict[str, Any], by: str) -> Iterator[str]:
    """Yield the lines of `capture status`; `by`: how a log is kept."""
    from meisa_cdc.core.durations import iso
    from meisa_cdc.core.sizes import told_size

    name, triggers = document["name"], document["triggers"]
    if triggers:
        yield f"Triggers {name}: on {', '.join(triggers['tables']) or 'no table'}."
    elif by != "slot":
        yield f"Triggers {name}: none."
    if document["slot"] or document["publication"] or (by == "slot" and not triggers):
        yield _slot_line(name, document["slot"], told_size(document["max_wal_bytes"]))
        found = document["publication"]
        tables = ", ".join(found["tables"]) or "empty" if found else "none"
        yield f"Publication {name}: {tables}."
    if document["dropped"]:
        dropped = document["dropped"]
        yield f"Dropped at {iso(dropped['at'])}: {dropped['reason']}."
    for each in document["mappings"]:
        line = f"{each['mapping']}: {each['capture'] or 'failed'}: {each['reason']}"
        if each["not_followed"] and "does not help" not in line:
            line += f"; a log would not help, since {each['not_followed']}"
        yield f"{line}. {each['advice']}" if each["advice"] else line
    for each in document["problems"]:
        yield f"TROUBLE {each['problem']}. {each['advice']}"
    if document["missing"]:
        by = " --by triggers" if triggers else ""
        yield f"Not complete for these mappings: meisa-cdc capture setup{by} --print"


def _slot_line(name: str, slot: dict[str, Any] | None, most: str) -> str:
    from meisa_cdc.core.sizes import told_size

    if slot is None:
        return f"Slot {name}: none."
    if slot["void"]:
        return f"Slot {name}: of no use, {slot['void']}."
    reader = f", read by process {slot['reader']} now" if slot["reader"] else ""
    kept = "unknown" if slot["kept_bytes"] is None else told_size(slot["kept_bytes"])
    return f"Slot {name}: {slot['wal_status']}, keeps {kept} of WAL, {most} at most{reader}."
