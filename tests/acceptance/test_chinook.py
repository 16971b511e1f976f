"""The sample shop on three databases: the same contacts, the same bytes, only what changed.

Each plan on the way is watched: it may touch nothing, with a state and without.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData, NullPool, create_engine, make_url, select, text

from tests.acceptance.installed import Desk, payload

CHINOOK = Path(__file__).parents[1] / "chinook"
FOLDERS = {
    "sqlite": "mappings_sqlite",
    "postgresql": "mappings_postgres",
    "mysql": "mappings_mysql",
}
#: A sale on the day after the last one, in each dialect's spelling of the names.
SALE = {
    "sqlite": "insert into Invoice (InvoiceId, CustomerId, InvoiceDate, Total)",
    "postgresql": "insert into invoice (invoice_id, customer_id, invoice_date, total)",
    "mysql": "insert into Invoice (InvoiceId, CustomerId, InvoiceDate, Total)",
}
CUSTOMERS = 59

DeskAt = Callable[..., Desk]


def settings(dialect: str, url: str) -> dict[str, str]:
    """Return what points the program at the sample with its mappings."""
    return {
        "MEISA_CDC_APP_DATABASE__URL": url,
        "MEISA_CDC_MAPPINGS_DIR": str(CHINOOK / FOLDERS[dialect]),
    }


def bodies(desk: Desk) -> list[tuple[str, bytes]]:
    """Return what the sandbox was sent, as it was sent, in order of the contacts' keys."""
    return sorted((str(each.external_id), each.body) for each in desk.sent())


def flat(request: tuple[str, bytes]) -> dict[str, Any]:
    """Return the fields of a request by the names that plans have for them."""
    fields = json.loads(request[1])
    custom = fields.pop("custom_fields", {})
    named = {name: fields[name] for name in fields if name not in ("external_id", "source")}
    return named | {f"custom_fields.{name}": value for name, value in custom.items()}


def custom_fields(contact: Mapping[str, Any]) -> dict[str, Any]:
    """Return a contact's custom fields as the sandbox has them."""
    fields: dict[str, Any] = contact["custom_fields"]
    return fields


def test_three_databases_yield_the_same_bytes(
    desk_at: DeskAt, chinook_sqlite_url: str, chinook_postgres_url: str, chinook_mariadb_url: str
) -> None:
    """Plans and requests do not show which database the app happens to use."""
    urls = (chinook_sqlite_url, chinook_postgres_url, chinook_mariadb_url)

    def planned_and_sent(dialect: str, url: str) -> tuple[Any, list[tuple[str, bytes]]]:
        desk = desk_at(dialect, **settings(dialect, url))
        with untouched(desk, url):
            planned = desk.json("plan")["changes"]
        desk.run("sync")
        return planned, bodies(desk)

    with ThreadPoolExecutor(2) as lanes:
        plans, sent = zip(*lanes.map(planned_and_sent, FOLDERS, urls), strict=True)
    assert len(plans[0]) == len(sent[0]) == CUSTOMERS
    assert plans[0] == plans[1] == plans[2]
    assert sent[0] == sent[1] == sent[2]
    foretold = [
        {name: change["to"] for name, change in each["fields"].items()} for each in plans[0]
    ]
    assert sorted(map(flat, sent[0]), key=str) == sorted(foretold, key=str)


def test_contacts_arrive_whole_and_later_only_what_changed(
    desk_at: DeskAt, chinook: tuple[str, str]
) -> None:
    """All fields of all customers arrive; then nothing; then one sale sends one contact's part."""
    dialect, url = chinook
    desk = desk_at(**settings(dialect, url))
    first = desk.json("sync")
    assert (first["delivered"], first["requests"], first["backlog"]) == (CUSTOMERS, CUSTOMERS, 0)
    everybody_arrived(desk)

    heard = desk.heard()
    second = desk.json("sync")
    assert (second["plan"]["unchanged"], second["requests"]) == (CUSTOMERS, 0)
    assert desk.sent(heard) == []

    sell(dialect, url)
    with untouched(desk, url):
        assert desk.json("plan")["summary"]["requests"] == 1
    third = desk.json("sync")
    assert (third["plan"]["update"], third["delivered"]) == (1, 1)
    (record,) = desk.sent(heard)
    assert payload(record) == {
        "email": "luisg@embraer.com.br",
        "external_id": "1",
        "custom_fields": {
            "invoice_count": 8,
            "total_spent": 50.12,
            "last_purchase": "2025-12-23",
        },
    }


def everybody_arrived(desk: Desk) -> None:
    """Assert that the sandbox holds every customer with everything the mappings say."""
    contacts = desk.account.contacts()
    assert len(contacts) == CUSTOMERS
    assert sum(custom_fields(each)["invoice_count"] for each in contacts) == 412
    spent = [custom_fields(each)["total_spent"] for each in contacts]
    assert all(type(each) in (int, float) for each in spent)
    assert round(sum(spent), 2) == 2328.60
    luis = desk.account.contact(external_id="1")
    assert luis is not None
    names = ("email", "first_name", "last_name")
    assert [luis[name] for name in names] == ["luisg@embraer.com.br", "Luís", "Gonçalves"]
    assert custom_fields(luis) == {
        "country": "Brazil",
        "company": "Embraer - Empresa Brasileira de Aeronáutica S.A.",
        "support_rep": "Jane Peacock",
        "invoice_count": 7,
        "total_spent": 39.62,
        "first_purchase": "2022-03-11",
        "last_purchase": "2025-08-07",
        "favourite_genre": "Rock",
    }


def sell(dialect: str, url: str) -> None:
    """Record one more sale to the first customer."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text(f"{SALE[dialect]} values (413, 1, '2025-12-23 00:00:00', 10.50)"))


@contextmanager
def untouched(desk: Desk, url: str) -> Iterator[None]:
    """See that the block leaves app database, state and Meisa as they are, to the last byte."""

    def all_there_is() -> list[object]:
        files = [files_in(desk.folder), files_in(desk.scratch), files_of(url)]
        return [everything_in(url), files, desk.account.contacts(), desk.heard()]

    before = all_there_is()
    yield
    assert all_there_is() == before


def everything_in(url: str) -> dict[str, list[str]]:
    """Return every row of every table of a database, as text in a fixed order."""
    engine = create_engine(url, poolclass=NullPool)
    tables = MetaData()
    with engine.connect() as connection:
        tables.reflect(connection)
        return {
            name: sorted(map(repr, connection.execute(select(table))))
            for name, table in tables.tables.items()
        }


def files_of(url: str) -> dict[str, bytes]:
    """Return the files of a SQLite database with their bytes; none of a server's."""
    file = Path(make_url(url).database or "")
    return {each.name: each.read_bytes() for each in file.parent.glob(f"{file.name}*")}


def files_in(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
