"""The sandbox's state file: what survives a restart, and files that cannot be used."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import orjson
import pytest

from meisa_cdc.sandbox import (
    DEFAULT_API_KEY,
    Account,
    ApiKey,
    Fault,
    OptionError,
    SandboxOptions,
    parse_limits,
    read_configured,
)
from meisa_cdc.sandbox.automations.rules import Automation, Unenroll, When
from meisa_cdc.sandbox.exchange import Arrival

NOON = 1_768_219_200.0
ANNA = "anna@example.com"
AUTOMATIONS = read_configured(
    """
    [[automations]]
    name = "welcome"
    trigger = "contact_created"
    actions = [{ add_tag = "new" }, { enroll = "onboarding" }]

    [[email_triggers]]
    key = "later"
    delay = "1h"
    """
)


@pytest.fixture
def path(tmp_path):
    """Where the state file is to be."""
    return tmp_path / "sandbox.db"


@pytest.fixture
def opened(path):
    """Opens an account over the file at a time; the caller closes it."""

    def make(now=NOON, **options):
        chosen = {
            "limits": (),
            "automations": AUTOMATIONS.automations,
            "email_triggers": AUTOMATIONS.email_triggers,
        }
        return Account(SandboxOptions(**{**chosen, **options}, state=path), clock=lambda: now)

    return make


def post(account, path, **fields):
    """Status and JSON of a request with these fields."""
    outcome = account.answer(
        Arrival(
            method="POST",
            path="/api/v1" + path,
            api_key=DEFAULT_API_KEY,
            content_type="application/json",
            body=orjson.dumps(fields),
        )
    )
    assert outcome.reply is not None
    return outcome.reply.status, outcome.reply.document()


def everything(account):
    """All that can be asked of an account."""
    return {
        "contacts": account.contacts(),
        "requests": account.requests(),
        "triggers": account.triggers(),
        "counts": account.trigger_counts(),
        "runs": account.automation_runs(),
        "emails": account.emails(),
        "enrollments": account.enrollments(ANNA),
        "suppressed": account.suppress(),
    }


def test_everything_survives_a_restart(opened):
    """Contacts in order, tags, logs and their counters, e-mails, enrolments, suppressions."""
    with closing(opened()) as account:
        fields = {"plan": "pro", "nested": {"a": [1, None]}}
        post(account, "/contacts/upsert/", email=ANNA, external_id="7", custom_fields=fields)
        post(account, "/contacts/upsert/", email="bert@example.com", tag_names=["vip"])
        post(account, "/contacts/upsert/", email=ANNA, first_name="Anna")
        post(account, "/events/track/", email=ANNA, event_name="x", properties={"n": 1})
        post(account, "/emails/trigger/", trigger_key="later", to_email=ANNA)
        account.answer(Arrival(method="GET", path="/api/v1/ping/", body=b"\xff\x00"))
        account.suppress(add=["gone@example.com"])
        before = everything(account)
    with closing(opened()) as account:
        assert everything(account) == before
        tag = post(account, "/contacts/upsert/", email=ANNA, tag_names=["vip"])[1]["tags"][-1]
        assert tag in account.contact(email="bert@example.com")["tags"]
        assert account.requests()[-1].number == len(before["requests"]) + 1


def test_what_was_due_meanwhile_happens(opened):
    """A scheduled e-mail leaves, a sequence goes on, an idempotency key still holds."""
    asked = {"trigger_key": "later", "to_email": ANNA, "idempotency_key": "k"}
    with closing(opened()) as account:
        first = post(account, "/emails/trigger/", **asked)
    with closing(opened(NOON + 3599)) as account:
        assert post(account, "/emails/trigger/", **asked) == first
        assert account.emails()[0]["status"] == "scheduled"
    with closing(opened(NOON + 86_400)) as account:
        assert account.emails()[0]["status"] == "sent"
        assert account.contact(email=ANNA)["total_emails_sent"] == 1
        assert account.enrollments(ANNA)[0]["emails_sent"] == 2
    with closing(opened(NOON + 86_400)) as account:
        assert account.contact(email=ANNA)["total_emails_sent"] == 1


def test_what_was_removed_stays_so(opened):
    """A deleted contact, its enrolments, a lifted suppression, forgotten log entries."""
    with closing(opened(log_size=2)) as account:
        for number in range(3):
            post(account, "/contacts/upsert/", email=ANNA, external_id="7", first_name=str(number))
        account.suppress(add=["gone@example.com"])
        account.suppress(remove=["gone@example.com"])
        account.delete_contact("7")
    with closing(opened()) as account:
        assert account.contacts() == []
        assert account.suppress() == 0
        assert [record.number for record in account.requests()] == [2, 3]
        post(account, "/contacts/upsert/", email=ANNA)
        assert len(account.enrollments(ANNA)) == 1


def test_a_contact_taken_out_of_a_sequence_stays_out(opened):
    """The end of an enrolment is kept like its beginning."""
    leave = Automation(
        name="leave", when=When(kind="custom_event"), actions=(Unenroll(sequence="onboarding"),)
    )
    automations = (*AUTOMATIONS.automations, leave)
    with closing(opened(automations=automations)) as account:
        post(account, "/contacts/upsert/", email=ANNA)
    with closing(opened(automations=automations)) as account:
        post(account, "/events/track/", email=ANNA, event_name="x")
        ended = account.enrollments(ANNA)
    with closing(opened()) as account:
        assert account.enrollments(ANNA) == ended
        assert ended[0]["status"] == "removed"


def test_a_smaller_log_forgets_more(opened):
    """Also what is on disk already."""
    with closing(opened()) as account:
        for _ in range(5):
            post(account, "/contacts/upsert/", email=ANNA)
    with closing(opened(log_size=2)) as account:
        post(account, "/contacts/upsert/", email=ANNA)
    with closing(opened()) as account:
        assert [record.number for record in account.requests()] == [5, 6]


def test_requests_before_the_restart_count(opened):
    """The windows of a key are not emptied by it; refused requests count in none."""
    limits = parse_limits("3/60s")
    with closing(opened(limits=limits)) as account:
        account.script(Fault(kind="answer", status=429))
        statuses = [post(account, "/contacts/upsert/", email=ANNA)[0] for _ in range(4)]
        assert statuses == [429, 200, 200, 429]
    other = ApiKey(secret="other", name="other")
    with closing(opened(limits=limits, keys=(ApiKey(), other))) as account:
        assert post(account, "/contacts/upsert/", email=ANNA)[0] == 429
        fine = account.answer(Arrival(method="GET", path="/api/v1/ping/", api_key="other"))
        assert fine.reply.status == 200
    with closing(opened(NOON + 60, limits=limits)) as account:
        assert post(account, "/contacts/upsert/", email=ANNA)[0] == 200


def test_a_reset_empties_the_file(opened):
    """After it and a restart nothing is there."""
    with closing(opened()) as account:
        post(account, "/contacts/upsert/", email=ANNA)
        account.reset()
        assert account.contacts() == []
    with closing(opened()) as account:
        assert account.contacts() == []
        assert account.requests() == []
        assert account.trigger_counts() == {}


def test_an_answered_request_survives_a_kill(path):
    """What was answered is on disk, even if the process ends at that moment."""
    program = """
import os, signal, sys
from pathlib import Path
from meisa_cdc.sandbox import Account, DEFAULT_API_KEY, SandboxOptions
from meisa_cdc.sandbox.automations.rules import Automation, Unenroll, When
from meisa_cdc.sandbox.exchange import Arrival
account = Account(SandboxOptions(state=Path(sys.argv[1])))
reply = account.answer(Arrival(method="POST", path="/api/v1/contacts/upsert/",
    api_key=DEFAULT_API_KEY, content_type="application/json",
    body=b'{"email": "anna@example.com"}')).reply
assert reply.status == 200
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program, path], check=False)
    assert done.returncode == -signal.SIGKILL
    with closing(Account(SandboxOptions(state=path))) as account:
        assert [contact["email"] for contact in account.contacts()] == [ANNA]


def test_only_its_owner_can_read_the_file(opened, path):
    """Whatever the umask says."""
    before = os.umask(0)
    try:
        opened().close()
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


def test_two_sandboxes_cannot_share_a_file(opened):
    """The second is told, and the first goes on."""
    with closing(opened()) as account:
        with pytest.raises(OptionError, match="another sandbox uses this file"):
            opened()
        assert post(account, "/contacts/upsert/", email=ANNA)[0] == 200


def _text(path):
    path.write_text("My diary. " * 100)


def _other_database(path):
    with closing(sqlite3.connect(path)) as database:
        database.execute("create table diary (day text)")


def _newer(path):
    Account(SandboxOptions(state=path)).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("pragma user_version = 2")


def _damaged(path):
    Account(SandboxOptions(state=path)).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("insert into entry values ('contact', 'x', '{')")
        database.commit()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_text, "this file cannot be used: file is not a database"),
        (_other_database, "is a database of something else"),
        (_newer, "was written by another version"),
        (_damaged, "is damaged"),
        (lambda path: path.mkdir(), "cannot be opened"),
    ],
)
def test_a_file_that_is_something_else_is_left_alone(path, spoil, told):
    """It is refused with the reason and its bytes stay."""
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(OptionError, match=told) as failure:
        Account(SandboxOptions(state=path))
    assert str(path) in str(failure.value)
    assert before == (path.read_bytes() if path.is_file() else None)


def test_a_full_disk_is_answered_500_until_there_is_room(opened):
    """What was not written is written with the next request that can be."""
    with closing(opened()) as account:
        post(account, "/contacts/upsert/", email=ANNA)
        usual = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, usual[1]))
        try:
            post(account, "/contacts/upsert/", email=ANNA, first_name="Anna")
            status, error = post(account, "/contacts/upsert/", email="bert@example.com")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, usual)
            signal.signal(signal.SIGXFSZ, ignored)
        assert status == 500
        assert "cannot be written" in error["message"]
        post(account, "/contacts/upsert/", email=ANNA)
    with closing(opened()) as account:
        assert [each["email"] for each in account.contacts()] == [ANNA, "bert@example.com"]
        assert account.contact(email=ANNA)["first_name"] == "Anna"
        assert [record.number for record in account.requests()] == [1, 2, 3, 4]
