"""Every mapping that we ship is valid, explains itself and runs on the database it is made for."""

import re
from pathlib import Path

import pytest

from meisa_cdc.core.mapping import ONCE, check_columns, check_set
from meisa_cdc.core.occurrence import check_columns as check_once
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.templates import load_mappings

ROOT = Path(__file__).parents[2]
CONFIG = {"every", "cron", "priority", "timeout", "enabled", "fields"}
FIELD = {"type", "missing", "null", "priority", "send", "at_least_every", "thresholds"}


@pytest.fixture
def mappings(shipped):
    """Return the mappings of every folder in turn."""
    return load_mappings(shipped.folder, variables={}, dialect=shipped.dialect)


@pytest.fixture
def snapshot(shipped, request):
    """Yield a view of the database that the folder is made for."""
    with AppDatabase(request.getfixturevalue(shipped.database)).snapshot() as view:
        yield view


def test_every_file_is_a_mapping(shipped, mappings):
    """Each file of the folder is loaded; none lies where nothing reads it."""
    files = {path.relative_to(shipped.folder) for path in shipped.folder.rglob("*.*")}
    assert files == {Path(f"{mapping.name}.sql") for mapping in mappings}
    assert files


def test_every_folder_is_tested(shipped):
    """No folder of mappings beside these is shipped."""
    folders = {path.parent.parent for path in (ROOT / "tests" / "chinook").rglob("*.sql")}
    assert shipped.folder in folders | {ROOT / "mappings"}
    assert len(folders) == 3


def test_each_says_what_it_is_for(mappings):
    """The comment at the top is whole sentences in plain words."""
    for mapping in mappings:
        assert len(mapping.purpose) > 40, mapping.name
        assert mapping.purpose.endswith("."), mapping.name
        assert not re.search(r"[{}`_]|\bselect\b|\bjoin\b", mapping.purpose), mapping.name


def _about_contacts(mappings):
    return [mapping for mapping in mappings if mapping.kind not in ONCE]


def test_each_can_be_restricted(mappings):
    """Each mapping of contacts says itself where the condition on them goes."""
    for mapping in _about_contacts(mappings):
        assert mapping.text.count("{{ only(") == 1, mapping.name


def test_each_declares_only_what_this_version_obeys(mappings):
    """No setting is there that would be ignored."""
    for mapping in mappings:
        named = set(re.findall(r"[(\s](\w+)=", mapping.text.partition("}}")[0]))
        assert named <= CONFIG, mapping.name
        inner = {name for each in re.findall(r"': \{(.*?)\}", mapping.text) for name in _keys(each)}
        assert inner <= FIELD, mapping.name


def _keys(settings: str) -> list[str]:
    return re.findall(r"'(\w+)':", settings)


def test_they_fit_together(mappings, snapshot):
    """Identity alone yields e-mail, no field comes twice, every setting is about a column."""
    columns = {
        mapping.name: [column.name for column in snapshot.columns(mapping)] for mapping in mappings
    }
    contacts = {each.name for each in _about_contacts(mappings)}
    assert check_set({name: columns[name] for name in contacts}) == "contacts/identity"
    for mapping in mappings:
        check = check_columns if mapping.name in contacts else check_once
        check(mapping, columns[mapping.name])
        assert tuple(columns[mapping.name]) == mapping.columns


def test_the_database_has_a_plan_for_each(mappings, snapshot):
    """The database explains how it would run each query."""
    for mapping in mappings:
        assert snapshot.explain(mapping), mapping.name


def test_each_yields_rows_of_known_contacts(mappings, snapshot, read_rows):
    """Each mapping has rows, one a contact or an id at most, and all for contacts of identity."""
    rows = {mapping.name: read_rows(snapshot, mapping) for mapping in mappings}
    identity = rows["contacts/identity"]
    addresses = {row["email"] for row in identity.values()}
    for mapping in mappings:
        observed = rows[mapping.name]
        assert observed, mapping.name
        if mapping.kind not in ONCE:
            assert set(observed) <= set(identity), mapping.name
            continue
        for key, row in observed.items():
            known = (str(row.get("external_id")) in identity, row.get("to_email", key) in addresses)
            assert any(known), (mapping.name, key)


def test_a_restricted_read_is_part_of_the_full_one(mappings, snapshot, read_rows):
    """Reading some contacts yields exactly their rows of a full read."""
    keys = ["3", "17", "42", "59", *map(str, range(100, 120)), "no such contact"]
    for mapping in _about_contacts(mappings):
        full = read_rows(snapshot, mapping)
        some = read_rows(snapshot, mapping, keys)
        assert some == {key: full[key] for key in keys if key in full}, mapping.name
        assert some, mapping.name


def test_no_field_is_a_secret(mappings):
    """Nothing that looks like a password, a token or a hash is read."""
    for mapping in mappings:
        assert not re.search(r"password|passwd|token|secret|hash", mapping.text), mapping.name
