"""What the app database says of itself: rights of our role, tables."""

from collections.abc import Iterator

import pytest
from sqlalchemy import NullPool, create_engine, make_url

from meisa_cdc.core.errors import MeisaCdcError
from meisa_cdc.source.database import AppDatabase

USERS = "create table users (id integer primary key, email varchar(50))"


def execute(url: str, *statements: str) -> None:
    """Change the app database, as its owner would."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def test_the_proof_of_being_read_only(postgres_url, mariadb_url, sqlite_url):
    """`check` tells what our role could change, if anything."""
    for url in (postgres_url, mariadb_url, sqlite_url):
        execute(url, USERS)
    assert AppDatabase(sqlite_url).read_only_proof() == []
    assert AppDatabase(postgres_url).read_only_proof() == ["the role postgres is a superuser"]
    assert "the user has ALL PRIVILEGES on" in AppDatabase(mariadb_url).read_only_proof()[0]


@pytest.fixture
def reader(postgres_url) -> Iterator[str]:
    """Yield the URL of a database with users, as a role that may read them."""
    execute(
        postgres_url,
        USERS,
        "drop role if exists meisa_proof",
        "create role meisa_proof login password 'reader'",
        "grant select on users to meisa_proof",
    )
    url = make_url(postgres_url).set(username="meisa_proof", password="reader")
    yield url.render_as_string(hide_password=False)
    execute(postgres_url, "drop owned by meisa_proof", "drop role meisa_proof")


def test_a_role_that_can_only_select_is_proven(reader):
    """The role of the documentation passes."""
    assert AppDatabase(reader).read_only_proof() == []


def test_every_right_to_write_is_found(postgres_url, reader):
    """Whatever way it was given."""
    for grant, undo, finding in (
        ("grant insert on users to", "revoke insert on users from", "write to public.users"),
        ("grant truncate on users to", "revoke truncate on users from", "write to public.users"),
        ("grant update (id) on users to", "revoke update (id) on users from", "public.users"),
        ("grant create on schema public to", "revoke create on schema public from", "in public"),
        ("grant pg_write_all_data to", "revoke pg_write_all_data from", "write to public.users"),
        (
            "grant pg_execute_server_program to",
            "revoke pg_execute_server_program from",
            "has pg_execute_server_program",
        ),
    ):
        execute(postgres_url, f"{grant} meisa_proof")
        assert finding in " ".join(AppDatabase(reader).read_only_proof()), grant
        execute(postgres_url, f"{undo} meisa_proof")
    execute(postgres_url, "alter role meisa_proof createrole createdb replication")
    assert AppDatabase(reader).read_only_proof() == [
        f"the role meisa_proof has {attribute}"
        for attribute in ("CREATEROLE", "CREATEDB", "REPLICATION")
    ]


def test_of_many_tables_a_few_are_named(postgres_url, reader):
    """A finding stays one readable line."""
    for n in range(8):
        execute(postgres_url, f"create table t{n} (a int)", f"grant insert on t{n} to meisa_proof")
    (finding,) = AppDatabase(reader).read_only_proof()
    assert finding.endswith("public.t0, public.t1, public.t2, public.t3, public.t4 and 3 more")


def test_our_own_tables_are_no_finding(postgres_url, reader):
    """The suppression table may be written to by the same role."""
    execute(
        postgres_url,
        "create table meisa_suppressed_emails (email text)",
        "grant all on meisa_suppressed_emails to meisa_proof",
    )
    database = AppDatabase(reader)
    assert database.read_only_proof(ours=["meisa_suppressed_emails"]) == []
    assert database.read_only_proof(ours=["public.meisa_suppressed_emails"]) == []
    assert len(database.read_only_proof()) == 1


def test_rights_on_mariadb_are_found(mariadb_url):
    """Table by table, and a role is named as not looked at."""
    name = make_url(mariadb_url).database
    execute(
        mariadb_url,
        USERS,
        "create or replace user meisa_proof identified by 'reader'",
        f"grant select on {name}.* to meisa_proof",
    )
    url = make_url(mariadb_url).set(username="meisa_proof", password="reader")
    try:
        assert AppDatabase(url).read_only_proof() == []
        execute(
            mariadb_url,
            f"grant select (id), update (email), insert on {name}.users to meisa_proof",
            "create or replace role meisa_more",
            "grant meisa_more to meisa_proof",
        )
        findings = " ".join(AppDatabase(url).read_only_proof())
        assert "the user has a role, whose rights are not looked at" in findings
        assert "the user has INSERT, UPDATE on" in findings
        assert len(AppDatabase(url).read_only_proof(ours=["users"])) == 1
    finally:
        execute(mariadb_url, "drop user meisa_proof", "drop role if exists meisa_more")


def test_tables_are_told_with_keys_and_families(app_database):
    """What `init --from-database` proposes mappings from."""
    execute(
        app_database.url,
        "create table plans (id integer primary key, name varchar(20), price decimal(8, 2))",
        "create table users (id integer primary key, email varchar(50), plan_id integer, "
        "born date, seen timestamp, foreign key (plan_id) references plans (id))",
    )
    plans, users = AppDatabase(app_database.url).tables()
    assert (plans.name, users.name) == ("plans", "users")
    found = {column.name: column for column in users.columns}
    assert {name: column.type for name, column in found.items()} == {
        "id": "integer",
        "email": "text",
        "plan_id": "integer",
        "born": "date",
        "seen": "datetime",
    }
    assert [name for name, column in found.items() if column.primary_key] == ["id"]
    assert found["plan_id"].references == "plans.id"
    assert not found["email"].references
    assert plans.columns[2].type == "number"


def test_tables_of_a_database_that_is_down():
    """One clear message here, too."""
    with pytest.raises(MeisaCdcError, match=r"Check app_database\.url") as caught:
        AppDatabase("postgresql://u:s3cret-canary@127.0.0.1:1/d").tables()
    assert "canary" not in str(caught.value)
