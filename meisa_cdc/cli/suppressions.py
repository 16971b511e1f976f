"""`meisa-cdc suppressions`: the addresses that must not be e-mailed."""

import csv
import io
from typing import Annotated

import typer

from meisa_cdc.cli.command import Group, command
from meisa_cdc.cli.session import Session

FAILED = 1
HELD = 3


@command("meisa-cdc suppressions", "meisa-cdc suppressions --approve 3f9a…")
def pull(
    session: Session,
    *,
    approve: Annotated[
        str, typer.Option(metavar="DIGEST", help="Release also what was held under this digest.")
    ] = "",
) -> int:
    """Pull the suppression list from Meisa into the table now."""
    from meisa_cdc.core.durations import iso
    from meisa_cdc.wiring import Remote, Wiring

    wiring = Wiring.of(session.settings())
    with wiring.meisa() as meisa, wiring.state_to_write() as state:
        remote = Remote(wiring=wiring, state=state, meisa=meisa)
        result, problem = remote.pull(remote.windows(), approve)
    if result is None:
        session.output.json({"failure": problem})
        session.output.error(problem)
        return FAILED
    session.output.json(
        {
            "count": result.count,
            "added": result.added,
            "released": result.released,
            "held": result.held,
            "digest": result.digest or None,
            "as_of": iso(result.as_of),
            "malformed": result.malformed,
        }
    )
    session.output.text(
        f"{result.count} addresses, {result.added} new, {result.released} released; "
        f"the list is as of {iso(result.as_of)}."
    )
    if result.held and approve:
        session.output.error(
            f"{approve} is not the digest of what is held now: nothing was released. The list at "
            "Meisa may have changed since that digest was shown."
        )
    if result.held:
        session.output.text(
            f"HELD: {result.held} releases wait. If they are right: "
            f"meisa-cdc suppressions --approve {result.digest}"
        )
    return HELD if result.held else 0


@command("meisa-cdc suppressions list")
def listed(session: Session) -> None:
    """List the suppressed addresses as the table has them."""
    from meisa_cdc.core.durations import iso
    from meisa_cdc.wiring import Wiring

    table = Wiring.of(session.settings()).suppression_table()
    entries = [(each.email, iso(each.suppressed_at)) for each in table.addresses()]
    session.output.json(
        {"suppressed": [{"email": email, "suppressed_at": at} for email, at in entries]}
    )
    if entries:
        session.output.text(session.output.table("address", "since", rows=entries))
    else:
        session.output.text("No address is suppressed.")


@command("meisa-cdc suppressions export > suppressed.csv", results=False)
def export(session: Session) -> None:
    """Print the suppressed addresses as CSV."""
    from meisa_cdc.core.durations import iso
    from meisa_cdc.wiring import Wiring

    session.output.raw("email,suppressed_at,as_of\r\n")
    for each in Wiring.of(session.settings()).suppression_table().addresses():
        line = io.StringIO()
        csv.writer(line).writerow([each.email, iso(each.suppressed_at), iso(each.as_of)])
        session.output.raw(line.getvalue())


suppressions = Group(default=pull, commands={"list": listed, "export": export})
