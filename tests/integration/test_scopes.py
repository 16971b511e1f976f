"""A key that may not do everything: what lacks is named, with whom it is needed by."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from meisa_cdc.sandbox import SCOPES, ApiKey, SandboxOptions, Sequence
from tests.installation import Installation, people, until

EVENTS = "select n as event_id, 'exported' as event_name, who as external_id from happened\n"
TRIALS = "select 'onboarding' as sequence_slug, who || '@example.com' as email from happened\n"
MAILS = (
    "select n as email_id, 'payment_failure' as trigger_key, who || '@example.com' as to_email"
    " from happened\n"
)
Home = Callable[..., Installation]


@pytest.fixture
def home_without(tmp_path: Path) -> Iterator[Home]:
    """Return a function that sets up one of every kind, with a key that lacks these scopes."""
    with ExitStack() as stack:

        def set_up(*lacking: str, **settings: str) -> Installation:
            key = ApiKey(scopes=tuple(scope for scope in SCOPES if scope not in lacking))
            options = SandboxOptions(
                limits=(),
                keys=(key,),
                sequences=(Sequence(slug="onboarding"), Sequence(slug="old", status="inactive")),
            )
            settings = {"MEISA_CDC_EMAILS__ENABLED": "true", **settings}
            home = stack.enter_context(Installation.at(tmp_path, options, **settings))
            home.app_has(people(2))
            for name, text in (("events", EVENTS), ("sequences", TRIALS), ("emails", MAILS)):
                once(home, f"{name}/all", text)
            with closing(sqlite3.connect(home.app)) as connection, connection:
                connection.execute("create table happened (n integer, who text)")
                connection.execute("insert into happened values (1, 'u0000'), (2, 'u0001')")
            return home

        yield set_up


def once(home: Installation, name: str, text: str) -> None:
    """Write a mapping of what happens once, that does not wait for a first run."""
    file = home.folder / "mappings" / f"{name}.sql"
    file.parent.mkdir(exist_ok=True)
    file.write_text("-- Everything.\n{{ config(backfill=true) }}\n" + text)


def asked(home: Installation) -> set[str]:
    """Return the paths of all requests, below the base URL."""
    return {record.path.removeprefix("/api/v1") for record in home.account.requests()}


ALL = {
    "/ping/",
    "/contacts/api/unsubscribed-emails/",
    "/contacts/upsert/",
    "/events/track/",
    "/emails/trigger/",
    "/sequences/api/bulk-enroll/",
}


def test_a_key_that_may_do_all_of_it(home_without: Home) -> None:
    """Nothing is told, everything is sent."""
    home = home_without("tags:write", "sequences:read")
    home.sync()
    assert asked(home) == ALL


@pytest.mark.parametrize(
    ("scope", "path", "named"),
    [
        ("events:track", "/events/track/", "which events/all needs"),
        ("emails:trigger", "/emails/trigger/", "which emails/all needs"),
        ("sequences:enroll", "/sequences/api/bulk-enroll/", "which sequences/all needs"),
    ],
)
def test_a_kind_that_the_key_may_not_send_waits(
    home_without: Home, scope: str, path: str, named: str
) -> None:
    """It is named before anything is sent, not even tried, and the others go on."""
    home = home_without(scope)
    with home.program("sync", "--format", "json") as program:
        assert program.ended(within=60) == 1
        assert f"lacks the scope {scope}, {named}." in " ".join(program.told().split())
    result = home.sync(code=1)
    assert asked(home) == ALL - {path}
    (failure,) = result["failures"]
    assert failure.startswith(f"The API key lacks the scope {scope}, {named}. Add it under")
    assert result["occurrences"]["waiting"] > 0


def test_without_the_list_contacts_go_on_and_mails_wait(home_without: Home) -> None:
    """The list is not asked for; who needs it is named."""
    home = home_without("contacts:read")
    result = home.sync(code=1)
    assert asked(home) == ALL - {"/contacts/api/unsubscribed-emails/", "/emails/trigger/"}
    (failure,) = result["failures"]
    assert "contacts:read, which the suppression list and emails/all need." in failure
    assert result["suppressions"] is None
    assert home.in_step()


def test_without_contacts_nothing_is_sent(home_without: Home) -> None:
    """It ends at once, with the mappings that need the scope."""
    home = home_without("contacts:write")
    with home.program("sync") as program:
        assert program.ended(within=60) == 1
        told = " ".join(program.told().split())
    assert "contacts:write, which contacts/identity and contacts/plan need. Nothing was" in told
    assert asked(home) == {"/ping/"}


def test_a_selection_needs_only_what_it_sends(home_without: Home) -> None:
    """A scope that only mappings need which are not selected is not missed."""
    home = home_without("events:track")
    home.sync("--select", "contacts/*")


def test_the_daemon_names_what_lacks_and_does_the_rest(home_without: Home) -> None:
    """At its start, once; what the key may not do is not tried."""
    home = home_without("events:track")
    with home.program("run") as daemon:
        (told,) = daemon.heard("scope missing")
        assert told["scope"] == "events:track"
        assert "which events/all needs." in told["error"]
        until(lambda: "/sequences/api/bulk-enroll/" in asked(home) and home.in_step())
    assert asked(home) == ALL - {"/events/track/"}


def test_the_daemon_waits_for_the_scope_of_contacts(home_without: Home) -> None:
    """As for a key that is refused: it asks again, and sends nothing."""
    home = home_without("contacts:write")
    with home.program("run") as daemon:
        (told, *_) = daemon.heard("not ready, will be tried again", 2)
        assert "contacts:write, which contacts/identity and contacts/plan need." in told["error"]
    assert asked(home) == {"/ping/"}


def findings(home: Installation, code: int) -> str:
    """Return what `check` prints."""
    with home.program("check") as program:
        assert program.ended(within=60) == code, program.output()
        return program.output()


def test_check_names_every_scope_that_lacks(home_without: Home) -> None:
    """Each with who needs it; that of looking at sequences is no failure by itself."""
    home = home_without("events:track", "emails:trigger", "sequences:read", "contacts:read")
    told = findings(home, 1)
    for scope, names in (
        ("events:track", "events/all needs"),
        ("emails:trigger", "emails/all needs"),
        ("contacts:read", "the suppression list and emails/all need"),
    ):
        assert f"failed  Meisa: The API key lacks the scope {scope}, which {names}." in told
    assert "note    Meisa: the key lacks the scope sequences:read, so that nobody" in told
    assert "contacts:write" not in told
    assert asked(home) == {"/ping/"}


def test_check_looks_at_each_sequence(home_without: Home) -> None:
    """One that is active, one that is not, one that is not there, and none yet."""
    home = home_without()
    told = findings(home, 0)
    assert "ok      sequences/all: the sequence onboarding is active" in told
    once(home, "sequences/old", TRIALS.replace("onboarding", "old"))
    once(home, "sequences/gone", TRIALS.replace("'onboarding'", "case n when 1 then 'gone' end"))
    once(home, "sequences/none", TRIALS + " where n > 100")
    once(home, "sequences/wrong", "select 1 as email")
    told = findings(home, 1)
    assert "failed  sequences/old: the sequence old is inactive: activate it in Meisa" in told
    assert "failed  sequences/gone: Meisa has no sequence 'gone'; there are: old, onboard" in told
    assert "note    sequences/none: no rows yet" in told
    assert told.count("failed  sequences/wrong:") == 1
    assert told.count("failed  sequences/gone:") == 1
