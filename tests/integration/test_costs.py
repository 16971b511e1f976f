"""What a thousand things cost in requests, over HTTP."""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from tests.installation import Installation, people

MANY = 10_000
#: Addresses that one request may enrol.
TOGETHER = 500


def paths(home: Installation, since: int) -> Counter[str]:
    """Return how often each path was asked for, below the base URL."""
    asked = home.account.requests(since)
    return Counter(record.path.removeprefix("/api/v1") for record in asked)


def test_ten_thousand_enrolments_cost_twenty_requests(tmp_path: Path) -> None:
    """Five hundred addresses share one, and each of them is in the sequence afterwards."""
    with Installation.at(tmp_path, MEISA_CDC_GUARD__MAX_NEW_ROWS=str(MANY)) as home:
        file = home.folder / "mappings" / "sequences" / "trials.sql"
        file.parent.mkdir()
        file.write_text("select 'onboarding' as sequence_slug, email from trials")
        with closing(sqlite3.connect(home.app)) as connection, connection:
            connection.execute("create table trials (email text)")
        home.sync()
        with closing(sqlite3.connect(home.app)) as connection, connection:
            addresses = [(f"t{number}@example.com",) for number in range(MANY)]
            connection.executemany("insert into trials values (?)", addresses)
        before = len(home.account.requests())
        result = home.sync()
        enrolling = paths(home, before)
        assert enrolling["/sequences/api/bulk-enroll/"] == MANY // TOGETHER == 20
        assert set(enrolling) <= {
            "/ping/",
            "/contacts/api/unsubscribed-emails/",
            "/sequences/api/bulk-enroll/",
        }
        assert (result["requests"], result["occurrences"]["done"]) == (20, MANY)
        assert home.account.trigger_counts()["sequence_enrolled"] == MANY
        assert home.sync()["requests"] == 0


def test_tags_cost_no_request_of_their_own(tmp_path: Path) -> None:
    """New tags arrive with the upsert of their contact: three of them for ten contacts, ten."""
    with Installation.at(tmp_path) as home:
        file = home.folder / "mappings" / "tags" / "badges.sql"
        file.parent.mkdir()
        file.write_text("select who as external_id, badge as tag_name from badges")
        with closing(sqlite3.connect(home.app)) as connection, connection:
            connection.execute("create table badges (who text, badge text)")
        home.app_has(people(10))
        home.sync()
        home.app_has(people(10, plan="pro"))
        with closing(sqlite3.connect(home.app)) as connection, connection:
            badges = [(who, badge) for who in people(10) for badge in ("a", "b", "c")]
            connection.executemany("insert into badges values (?, ?)", badges)
        before = len(home.account.requests())
        assert home.sync()["requests"] == 10
        asked = paths(home, before)
        assert asked["/contacts/upsert/"] == 10
        assert not [path for path in asked if "tag" in path]
        for contact in home.account.contacts():
            tags = cast("list[Any]", contact["tags"])
            assert {tag["name"] for tag in tags} == {"a", "b", "c"}
