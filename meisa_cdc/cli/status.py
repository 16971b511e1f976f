"""`meisa-cdc status`: what waits, how long, and why."""

from collections.abc import Iterator
from typing import Any

from meisa_cdc.cli.command import command
from meisa_cdc.cli.session import Session

#: What occurrences wait for that no request of ours brings about.
BLOCKED = {
    "no_contact": "their contact to be accepted",
    "no_suppression_list": "a suppression list of today",
}


@command("meisa-cdc status", "meisa-cdc status --format json")
def status(session: Session) -> None:
    """Show the backlog, what is late and why, the budget, and what is held."""
    from meisa_cdc.cli.times import dated
    from meisa_cdc.sync.status import status as status_of
    from meisa_cdc.wiring import Wiring

    wiring = Wiring.of(session.settings())
    with wiring.state_to_read() as state:
        document = status_of(
            state, wiring.windows(state), now=wiring.clock.now(), captures=wiring.captures()
        )
    session.output.json(dated(document))
    _show(session, document)


def _show(session: Session, document: dict[str, Any]) -> None:
    from meisa_cdc.cli.showing import by_field_line
    from meisa_cdc.core.durations import iso, spoken

    output = session.output
    contacts, backlog = document["contacts"], document["backlog"]
    output.text(
        f"Contacts: {contacts['present']} in step or on their way, {contacts['removed']} removed, "
        f"{contacts['invalid']} invalid, {contacts['quarantined']} in quarantine, "
        f"{contacts['in_doubt']} in doubt."
    )
    if backlog["total"]:
        output.text(
            f"Backlog: {backlog['total']} ({backlog['urgent']} urgent, {backlog['normal']} normal, "
            f"{backlog['background']} background); the oldest waits for "
            f"{spoken(backlog['oldest_seconds'] or 0)}; "
            f"done in {spoken(document['forecast']['seconds'])}, "
            f"by {iso(document['forecast']['done_at'])}."
        )
        output.text(by_field_line(document["cost"]["by_field"], document["cost"]["sole"]))
    else:
        output.text("Backlog: empty.")
    for each in document["occurrences"]:
        blocked = f" for {BLOCKED[each['blocked']]}" if each["blocked"] else ""
        output.text(
            f"{each['mapping']}: {each['count']} {each['status']}{blocked}, "
            f"the oldest since {iso(each['oldest'])}."
        )
    windows = ", ".join(
        f"{window['left']} of {window['count']} in {spoken(window['period_seconds'])}"
        for window in document["budget"]
    )
    output.text(f"Budget left: {windows}.")
    for line in _trouble_lines(document):
        output.text(line)
    if document["paused_until"]:
        output.text(f"Paused until {iso(document['paused_until'])}: Meisa asked us to wait.")
    _show_mappings(session, document)
    for hold in document["holds"]:
        state = "approved" if hold["approved_at"] else f"meisa-cdc approve {hold['digest']}"
        output.text(f"HELD {hold['mapping']} ({hold['reason']}): {hold['message']}. {state}")
    pulled = document["suppressions"]
    if pulled:
        output.text(f"Suppressed addresses: {pulled['count']}, as of {iso(pulled['as_of'])}.")
    for run in document["runs"]:
        ended = "unfinished" if run["ended_at"] is None else f"exit {run['exit_code']}"
        output.text(f"Run {run['run_id']}: {run['command']} at {iso(run['started_at'])}, {ended}.")


def _trouble_lines(document: dict[str, Any]) -> Iterator[str]:
    """Yield who else uses the key, and why nothing is delivered."""
    from meisa_cdc.core.durations import iso

    sharing, halt = document["sharing"], document["halt"]
    if sharing:
        yield f"We take {sharing['share']:.0%} of that: Meisa had answered 429."
        if sharing["others"]:
            yield (
                f"The key is shared: others used at least {sharing['others']:.0%} of a window; "
                f"set meisa.reserve to {sharing['reserve']:.0%}, or use a key of our own."
            )
    if halt:
        after = f"next try at {iso(halt['next_try'])}" if halt["next_try"] else "until you act"
        yield f"HALTED since {iso(halt['since'])}, {after}. {halt['message']}"


def _show_mappings(session: Session, document: dict[str, Any]) -> None:
    from meisa_cdc.core.durations import iso

    rows = [
        (
            each["mapping"],
            each["contacts"],
            iso(each["read_at"]) if each["read_at"] else "never",
            f"{each['capture']}: {each['capture_reason']}" if each["capture"] else "unknown",
        )
        for each in document["mappings"]
    ]
    if rows:
        output = session.output
        output.text(
            output.table("mapping", "contacts", "read at", "capture", rows=rows, right="contacts")
        )
    dropped = document["log_dropped"]
    if dropped:
        session.output.text(
            f"The log of changed rows: {dropped['reason']}, at {iso(dropped['at'])}. "
            "See `meisa-cdc capture status`."
        )
    if document["unmapped"]:
        session.output.text(f"No longer mapped: {', '.join(document['unmapped'])}.")
