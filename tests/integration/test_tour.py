"""The tour, with what it sends to the sandbox compared with the sandbox's description."""

from pathlib import Path

from meisa_cdc.demo.tour import Tour
from tests.description import watched


def test_all_that_the_tour_sends_is_as_described(tmp_path: Path) -> None:
    """Contacts, tags, events, e-mails, enrolments and the suppression list."""
    told: list[str] = []
    Tour(folder=tmp_path, say=told.append, sandbox=watched, users=200).run()
    assert told[-1].endswith("0 of them with 429.")
