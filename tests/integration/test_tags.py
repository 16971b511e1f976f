"""Tags, one a row, as each real database gathers them: one list a contact."""

from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import NullPool, create_engine, text as sql

from meisa_cdc.core.errors import MappingError
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.core.values import canonical
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.templates import load_mappings
from tests.conftest import AppDatabase as Given
from tests.installation import Installation, people

TABLES = (
    "create table users (id integer primary key, email varchar(100))",
    "create table badges (user_id integer, badge varchar(100))",
    "insert into users values (1, 'a@example.com'), (2, 'b@example.com'), (3, 'c@example.com')",
    "insert into badges values (1, 'pro'), (1, 'beta, \"quoted\"'), (1, null)",
    "insert into badges values (2, 'Zoë'), (3, null)",
)
BADGES = """-- Who wears what; gone once it is taken off.
{{ config(every='5m') }}
select b.user_id as external_id, b.badge as tag_name
from badges b
where {{ only('b.user_id') }} -- nobody else
;
"""


def mapping(folder: Path, dialect: str, text: str = BADGES) -> Mapping:
    """Return the mapping of a file in tags/."""
    file = folder / "mappings" / "tags" / "badge.sql"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    (loaded,) = load_mappings(file.parents[1], variables={}, dialect=dialect)
    return loaded


@pytest.mark.parametrize("keys", [None, ["1", "3"]], ids=["all", "some keys"])
@pytest.mark.parametrize("text", [BADGES, BADGES.replace("{{ only('b.user_id') }}", "1 = 1")])
def test_tags_are_gathered_by_contact(
    app_database: Given, tmp_path: Path, keys: list[str] | None, text: str
):
    """Each contact once, with the list of its tags, NULLs left out; whoever has none is missing."""
    engine = create_engine(app_database.url, poolclass=NullPool)
    with engine.begin() as connection:
        for statement in TABLES:
            connection.execute(sql(statement))
    badges = mapping(tmp_path, app_database.dialect, text)
    with AppDatabase(app_database.url).snapshot() as snapshot:
        columns = [column.name for column in snapshot.columns(badges)]
        rows = [row for batch in snapshot.read(badges, keys) for row in batch]
    assert columns == ["external_id", "tags/badge"] == list(badges.columns)
    read = {str(key): sorted(_listed(tags)) for key, tags in rows}
    wanted = {"1": ['beta, "quoted"', "pro"], "2": ["Zoë"]}
    assert read == {key: wanted[key] for key in wanted if keys is None or key in keys}


def _listed(value: object) -> list[str]:
    listed = canonical(value, "json", UTC)
    assert isinstance(listed, list)
    return [str(each) for each in listed]


def test_a_mapping_of_tags_takes_no_settings_by_field(tmp_path: Path):
    """There is only one, and it is sent as it is."""
    text = BADGES.replace("every='5m'", "fields={'tag_name': {'type': 'string'}}")
    with pytest.raises(MappingError, match="no settings by field"):
        mapping(tmp_path, "sqlite", text)


def test_a_tag_moves_with_the_plan(tmp_path: Path):
    """From the app's rows to the sandbox and its triggers: added with the upsert, then removed."""
    with Installation.at(tmp_path) as home:
        file = home.folder / "mappings" / "tags" / "plan.sql"
        file.parent.mkdir()
        file.write_text("select id as external_id, plan || '-plan' as tag_name from users")
        home.app_has(people(3))
        home.sync()
        home.app_has(people(3) | {"u0001": replace(people(2)["u0001"], plan="pro")})
        before = len(home.account.requests())
        result = home.sync()
        paths = [record.path for record in home.account.requests()[before:]]
        moved = home.account.contact(external_id="u0001")
        assert moved is not None
        assert [tag["name"] for tag in cast("list[Any]", moved["tags"])] == ["pro-plan"]
        assert [path for path in paths if path.endswith("/remove_tag/")] == [
            f"/api/v1/contacts/{moved['id']}/remove_tag/"
        ]
        assert (result["delivered"], result["backlog"]) == (2, 0)
        assert home.sync()["requests"] == 0
