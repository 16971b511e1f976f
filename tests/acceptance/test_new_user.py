"""A first hour with nothing but the README, and the mistakes that belong to it."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.acceptance import documented
from tests.acceptance.installed import PATIENCE, Desk
from tests.description import logged_mismatches

CUSTOMERS = 59
DeskAt = Callable[..., Desk]


@pytest.fixture
def newcomer(desk_at: DeskAt, chinook_sqlite_url: str) -> Desk:
    """Return a desk with an empty folder, no settings at all, and mappings that init proposed."""
    desk = desk_at()
    desk.settings.clear()
    told = desk.run("init", "--from-database", "--url", chinook_sqlite_url)
    assert "Contacts are the rows of Customer." in told.out
    return desk


@pytest.fixture
def own_sandbox(newcomer: Desk) -> Iterator[dict[str, str]]:
    """Yield what a sandbox that runs as a command says to export."""
    arguments = ("sandbox", "--port", "0", "--limits", "none", "--format", "json")
    with newcomer.started(*arguments) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        documented.check(arguments, told)
        yield {"MEISA_BASE_URL": told["base_url"], "MEISA_API_KEY": told["api_key"]}
        assert logged_mismatches(told["url"]) == []
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "", "")


def test_from_an_empty_folder_to_a_second_run(newcomer: Desk, own_sandbox: dict[str, str]) -> None:
    """Plan, check, sync: what the plan says is what the run sends, and then nothing."""
    planned = newcomer.json("plan")
    assert planned["summary"]["requests"] == len(planned["changes"]) == CUSTOMERS
    assert sorted(path.name for path in newcomer.folder.iterdir()) == ["mappings", "meisa-cdc.toml"]
    assert all(each["fires"] == ["contact_created"] for each in planned["changes"])

    newcomer.settings |= own_sandbox | {"MEISA_CDC_MEISA__LIMITS": "1000/1s"}
    newcomer.run("check")
    first = newcomer.json("sync")
    assert (first["plan"]["digest"], first["delivered"]) == (planned["digest"], CUSTOMERS)
    second = newcomer.json("sync")
    assert (second["requests"], second["plan"]["unchanged"]) == (0, CUSTOMERS)
    (newcomer.folder / "meisa-cdc.toml").rename(newcomer.folder / "first.toml")
    again = newcomer.json("init", "second", "--from-database", "--config", "first.toml")
    assert again["remarks"][0] == "Contacts are the rows of Customer."
    assert "meisa_suppress" not in str(again)


@pytest.mark.parametrize("command", ["sync", "run"])
def test_a_missing_key_is_named(desk: Desk, command: str) -> None:
    """Nothing that speaks to Meisa starts without one."""
    ended = desk.run(command, code=1, MEISA_API_KEY=None)
    assert ended.out == ""
    assert len(ended.err.splitlines()) == 2
    assert "MEISA_API_KEY" in ended.err
    assert not desk.state.exists()


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select CustomerId as external_id, Email as email from Costumer", "Costumer"),
        ("select CustomerId, Email as email from Customer", "external_id"),
        ("select CustomerId as external_id, FirstName as first_name from Customer", "email"),
        ("select CustomerId as external_id from Customer where {{ onyl('CustomerId') }}", "onyl"),
        ("delete from Customer", "SELECT"),
    ],
    ids=["table", "key", "e-mail", "template", "write"],
)
def test_a_mistake_in_a_mapping_is_one_clear_message(
    desk_at: DeskAt, chinook_sqlite_url: str, sql: str, said: str
) -> None:
    """The message names the file and what is wrong in it; nothing is planned on a guess."""
    desk = desk_at(MEISA_CDC_APP_DATABASE__URL=chinook_sqlite_url)
    desk.map(people=sql)
    ended = desk.run("plan", code=1)
    assert said in ended.told
    assert "contacts/" in ended.told
    assert "to create" not in ended.out or " 0 to create" in ended.out


def test_a_wrong_password_is_one_clear_message(desk_at: DeskAt, chinook_postgres_url: str) -> None:
    """The user, the host and the reason; not the password."""
    desk = desk_at()
    desk.settings.clear()
    wrong = make_url(chinook_postgres_url).set(password="0ther-p4ss")
    url = wrong.render_as_string(hide_password=False)
    ended = desk.run("init", "--from-database", "--url", url, code=1)
    assert "password authentication failed" in ended.err
    assert "127.0.0.1" in ended.err
    assert "0ther-p4ss" not in ended.err
    assert list(desk.folder.iterdir()) == []


def test_a_missing_database_file_is_not_made(desk_at: DeskAt) -> None:
    """A path that was mistyped is told, and no empty file is left there."""
    desk = desk_at()
    desk.settings.clear()
    ended = desk.run("init", "--from-database", "--url", "sqlite:///no-such.db", code=1)
    assert "no-such.db" in ended.err
    assert list(desk.folder.iterdir()) == []


def test_the_readme_names_every_step() -> None:
    """The commands of this hour are those that the README shows."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    for step in ("init --from-database --url", "plan", "check", "sync", "sandbox", "baseline"):
        assert f"meisa-cdc {step}" in readme
