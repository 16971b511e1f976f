"""`meisa-cdc migrate`: the state's schema."""

from meisa_cdc.cli.command import command
from meisa_cdc.cli.session import Session


@command("meisa-cdc migrate")
def migrate(session: Session) -> None:
    """Bring the schema of our own state up to date; every start does the same."""
    from meisa_cdc.wiring import Wiring

    wiring = Wiring.of(session.settings())
    with wiring.state_to_lead("migrate"):
        pass
    session.output.json({"state": str(wiring.settings.state.url), "schema": "up to date"})
    session.output.text("The state's schema is up to date.")
