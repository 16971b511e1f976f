"""`meisa-cdc approve`: let go what a running daemon holds."""

from typing import Annotated

import typer

from meisa_cdc.cli.amounts import amount
from meisa_cdc.cli.command import command
from meisa_cdc.cli.session import Session
from meisa_cdc.core.errors import ApprovalMismatch


@command("meisa-cdc approve 3f9a…")
def approve(
    session: Session,
    *,
    digest: Annotated[str, typer.Argument(metavar="DIGEST", help="As `status` shows it.")],
) -> None:
    """Release the changes of a hold on record that are still observed.

    They are admitted when their mapping is read next.
    """
    from meisa_cdc.wiring import Wiring

    wiring = Wiring.of(session.settings())
    with wiring.state_to_write() as state:
        hold = state.approve(digest, wiring.clock.now())
    if hold is None:
        raise ApprovalMismatch(
            f"No hold on record has the digest {digest}.",
            hint="meisa-cdc status lists what is held, with its digests.",
        )
    session.output.json(
        {"approved": hold.digest, "mapping": hold.mapping, "contacts": hold.contacts}
    )
    session.output.text(
        f"Approved: {amount(hold.contacts, 'contact')} of {hold.mapping}, to be admitted when the "
        "mapping is read next."
    )
