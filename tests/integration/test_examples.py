"""The automations that Meisa's documents give as examples, from rows of the demo's app alone."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest

from meisa_cdc.demo import appdb
from meisa_cdc.sandbox import EXAMPLES, Account, AutomationRun, SandboxOptions, load_automations
from meisa_cdc.wiring import shipped
from tests.installation import Installation

#: A run ends with it because of the users that no contact can be made of.
INVALID = 4
MOMENT = "2026-11-01 10:00:00.000000"
FREE = "select id from users where id not in (select user_id from subscriptions) order by id"
PRO = "select user_id from subscriptions where status = 'active' and plan_id = 2"


class Demo(NamedTuple):
    """The demo's app and the sandbox, in step."""

    home: Installation
    app: Path

    @property
    def account(self) -> Account:
        """The sandbox's side."""
        return self.home.account

    def ask(self, query: str) -> str:
        """Return the first value of the first row that is no odd user's, as a key."""
        with closing(sqlite3.connect(self.app)) as connection:
            found = [row[0] for row in connection.execute(query) if row[0] not in appdb.ODD]
        return str(found[0])

    def change(self, statement: str, *values: object) -> dict[str, Any]:
        """Change rows of the app, and sync; a second run finds nothing more to do."""
        with closing(sqlite3.connect(self.app)) as connection, connection:
            connection.execute(statement, values)
        result = self.home.sync(code=INVALID)
        assert self.home.sync(code=INVALID)["requests"] == 0
        return result

    def tags(self, key: str) -> set[str]:
        """Return the tags of a contact over there."""
        contact: Any = self.account.contact(external_id=key)
        return {tag["name"] for tag in contact["tags"]}

    def enrolled(self, key: str) -> dict[str, Any]:
        """Return the contact's enrolments by sequence."""
        contact = self.account.contact(external_id=key)
        assert contact is not None
        found = self.account.enrollments(str(contact["email"]))
        return {str(each["sequence_slug"]): each for each in found}

    def reactions(self, key: str) -> list[AutomationRun]:
        """Return the runs of automations about a contact, oldest first."""
        return [run for run in self.account.automation_runs() if run.external_id == key]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """The demo's app with the mappings we ship, loaded into a sandbox with the examples."""
    app = tmp_path / "demo.sqlite"
    appdb.build(app, users=100)
    configured = load_automations(EXAMPLES)
    options = SandboxOptions(
        limits=(),
        automations=configured.automations,
        sequences=configured.sequences,
        email_triggers=configured.email_triggers,
    )
    settings = {
        "MEISA_CDC_APP_DATABASE__URL": f"sqlite:///{app}",
        "MEISA_CDC_MAPPINGS_DIR": str(shipped("mappings")),
        "MEISA_CDC_EMAILS__ENABLED": "true",
    }
    with Installation.at(tmp_path, options, **settings) as home:
        home.sync(code=INVALID)
        yield Demo(home, app)


def test_the_first_load_greets_nobody(demo: Demo) -> None:
    """Who was there already is tagged by plan, and enrolled in nothing."""
    runs = demo.account.automation_runs()
    assert {run.automation for run in runs} == {"free plan"}
    assert demo.account.trigger_counts().keys() == {"contact_created", "tag_added"}
    assert demo.tags(demo.ask(FREE)) == {"free-plan"}


def test_an_upgrade_moves_tags_and_enrols(demo: Demo) -> None:
    """A new subscription of somebody on the free plan: one request of ours, three effects."""
    key = demo.ask(FREE)
    before = len(demo.account.triggers())
    result = demo.change(
        "insert into subscriptions (user_id, plan_id, status, billing_cycle, mrr_cents, started_at)"
        " values (?, 2, 'active', 'monthly', 4900, ?)",
        key,
        MOMENT,
    )
    assert result["requests"] == 1
    assert demo.tags(key) == {"paying-customer"}
    assert demo.enrolled(key)["welcome-pro"]["status"] == "active"
    fired = [(each.kind, each.subject, each.caused_by) for each in demo.account.triggers(before)]
    assert fired == [
        ("contact_updated", None, ()),
        ("tag_added", "paying-customer", ("upgrade",)),
        ("tag_removed", "free-plan", ("upgrade",)),
        ("sequence_enrolled", "welcome-pro", ("upgrade",)),
    ]
    changed = demo.account.triggers(before)[0].changes
    assert changed["custom_fields.plan"] == ("free", "pro")


def test_a_cancellation_tags_and_enrols(demo: Demo) -> None:
    """A subscription that ends: the tag churned, and the sequence that wins people back."""
    key = demo.ask(PRO)
    demo.change(
        "update subscriptions set status = 'canceled', canceled_at = ?"
        " where user_id = ? and status = 'active'",
        MOMENT,
        key,
    )
    assert "churned" in demo.tags(key)
    assert demo.enrolled(key).keys() == {"win-back"}
    assert [run.automation for run in demo.reactions(key)] == ["churn"]
    contact: Any = demo.account.contact(external_id=key)
    assert contact["custom_fields"]["plan"] == "churned"


def test_a_first_use_of_a_feature_sends_tips(demo: Demo) -> None:
    """A row of what people tried: an event, and the one e-mail of the sequence for power users."""
    key = demo.ask(FREE)
    result = demo.change(
        "insert into activations (user_id, feature, at) values (?, 'export', ?)", key, MOMENT
    )
    assert result["occurrences"]["done"] == 1
    event = next(each for each in demo.account.triggers() if each.kind == "custom_event")
    assert (event.external_id, event.event_name) == (key, "feature_activated")
    assert event.properties == {"feature": "export", "occurred_at": "2026-11-01T10:00:00Z"}
    assert demo.enrolled(key)["power-user-tips"]["emails_sent"] == 1
    assert [run.automation for run in demo.reactions(key)][-1] == "feature activated"


def test_whoever_completes_the_onboarding_leaves_its_sequence(demo: Demo) -> None:
    """A user who signs up is enrolled; once the flag is set, removed again and tagged."""
    demo.change(
        "insert into users (id, email, first_name, created_at, onboarding_completed, password_hash)"
        " values (900, 'new@example.org', 'Noa', ?, 0, '')",
        MOMENT,
    )
    assert demo.enrolled("900")["onboarding"]["status"] == "active"
    contact = cast("dict[str, Any]", demo.account.contact(external_id="900"))
    assert contact["source"] == "api"
    demo.change("update users set onboarding_completed = 1 where id = 900")
    assert demo.enrolled("900")["onboarding"]["status"] == "removed"
    assert demo.tags("900") == {"free-plan", "activated"}
    assert [run.automation for run in demo.reactions("900")] == [
        "free plan",
        "signup",
        "onboarding completed",
    ]
