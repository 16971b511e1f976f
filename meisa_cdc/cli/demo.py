"""`meisa-cdc demo`: the tour."""

import signal
import tempfile
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from meisa_cdc.cli.command import command
from meisa_cdc.cli.session import Session


@command("meisa-cdc demo", "meisa-cdc demo --serve", results=False)
def demo(
    session: Session,
    *,
    serve: Annotated[
        bool, typer.Option("--serve", help="Leave the sandbox's page up until Ctrl-C.")
    ] = False,
) -> None:
    """Take the tour: an app database, the sandbox, and the whole job.

    Everything happens in a temporary folder and on this machine; nothing is sent anywhere.
    """
    from meisa_cdc.demo.tour import Tour

    def stay(url: str) -> None:
        session.output.raw(f"\nThe sandbox's page: {url}  (Ctrl-C ends)\n")
        ended = Event()
        signal.signal(signal.SIGTERM, lambda *_: ended.set())
        while not ended.wait(0.5):
            pass

    with tempfile.TemporaryDirectory(prefix="meisa-cdc-demo-") as folder:
        tour = Tour(folder=Path(folder), say=lambda line: session.output.raw(f"{line}\n"))
        try:
            tour.run(stay=stay if serve else None)
        except KeyboardInterrupt:
            if not serve:
                raise
