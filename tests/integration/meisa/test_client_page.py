"""The examples of docs/client.md do what the page says, run as they stand there."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from meisa_cdc import meisa as package

from .documented_meisa import KEY, DocumentedMeisa

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
FIRST, *SECTIONS = re.split(r"^## ", PAGE, flags=re.MULTILINE)
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
EXAMPLES = {
    section.splitlines()[0]: PYTHON.findall(section)
    for section in SECTIONS
    if PYTHON.search(section)
}
UPSERT = "/contacts/upsert/"
TRACK = "/events/track/"


@pytest.fixture
def server() -> Iterator[DocumentedMeisa]:
    """Run a Meisa."""
    with DocumentedMeisa() as running:
        yield running


def run(server: DocumentedMeisa, heading: str) -> str:
    """Run the first example of the page and that of a section; return what they print."""
    program = "\n".join([*PYTHON.findall(FIRST), *EXAMPLES[heading], "meisa.close()"])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, "MEISA_API_KEY": KEY, "MEISA_BASE_URL": server.base_url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_every_example_is_tested():
    """The six uses, one example each, after the lines they share."""
    assert set(EXAMPLES) == {
        "A one-time code",
        "Onboarding",
        "An upgrade",
        "Churn",
        "An event in the app",
        "Who must not be e-mailed",
    }
    assert [len(blocks) for blocks in EXAMPLES.values()] == [1] * 6


def test_a_one_time_code_is_sent(server):
    """One request, one e-mail."""
    run(server, "A one-time code")
    assert server.mails == [("verification_code", "ada@example.com", {"code": "294817"})]
    assert len(server.asked) == 1


def test_a_one_time_code_in_doubt_is_sent_once(server):
    """The first answer is a 502 after the work was done."""
    server.failing.append(502)
    run(server, "A one-time code")
    assert len(server.mails) == 1
    assert len(server.asked) == 2


def test_a_one_time_code_is_not_sent_to_who_unsubscribed(server):
    """The example goes on without an error."""
    server.unsubscribed.append("ada@example.com")
    run(server, "A one-time code")
    assert server.mails == []


def test_onboarding_creates_the_contact(server):
    """With what the automation and the reader need."""
    assert run(server, "Onboarding").split() == ["c-1", "active"]
    contact = server.contacts["c-1"]
    assert (contact["external_id"], contact["source"], contact["first_name"]) == (
        "7",
        "signup",
        "Ada",
    )
    assert contact["custom_fields"]["plan"] == "free"
    assert contact["custom_fields"]["signup_date"].endswith("Z")


def test_an_upgrade_sends_what_changed(server):
    """Numbers stay numbers, and the other fields stay."""
    run(server, "Onboarding")
    run(server, "An upgrade")
    fields = server.contacts["c-1"]["custom_fields"]
    assert (fields["plan"], fields["billing_cycle"], fields["mrr"]) == ("pro", "annual", 82.5)
    assert "signup_date" in fields


@pytest.mark.parametrize("failing", [[], [503]])
def test_churn_is_sent_until_it_is_certain(server, failing):
    """Once, or twice where the first answer proves nothing."""
    server.failing += failing
    run(server, "Churn")
    assert server.contacts["c-1"]["custom_fields"]["plan"] == "churned"
    assert [path for _, path, _ in server.asked] == [UPSERT] * (1 + len(failing))


def test_an_event_of_a_stranger_is_tracked_after_the_upsert(server):
    """Then, of somebody known, at once."""
    run(server, "An event in the app")
    assert [path for _, path, _ in server.asked] == [TRACK, UPSERT, TRACK]
    run(server, "An event in the app")
    assert [path for _, path, _ in server.asked][3:] == [TRACK]


def test_an_event_in_doubt_is_not_repeated(server):
    """It says so instead."""
    server.failing.append(500)
    assert "not sure" in run(server, "An event in the app")
    assert len(server.asked) == 1


def test_suppressed_addresses_are_left_out(server):
    """In any case of their letters."""
    server.unsubscribed.append("bOB@example.com")
    assert run(server, "Who must not be e-mailed").startswith("1 of 2, by the list of 2026-01-12")


def test_every_error_is_explained():
    """The page has a row for each error that the package exports."""
    rows = set(re.findall(r"^\| `(\w+)`", PAGE, re.MULTILINE))
    errors = {
        name
        for name in package.__all__
        if isinstance(getattr(package, name), type)
        and issubclass(getattr(package, name), package.MeisaError)
    }
    assert rows | {"MeisaError"} == errors
