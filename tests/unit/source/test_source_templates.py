"""Loading the folder of mappings; F31."""

import hashlib
from pathlib import Path

import pytest

from meisa_cdc.core.errors import MappingError, SourceRefused
from meisa_cdc.core.mapping import FieldSettings, Mapping, Priority
from meisa_cdc.source.templates import load_mappings

PLAN = "select id as external_id, plan from users"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with one valid mapping."""
    (tmp_path / "contacts").mkdir()
    (tmp_path / "contacts" / "identity.sql").write_text("select id as external_id, email from u")
    return tmp_path


def load(folder: Path, dialect: str = "postgresql") -> list[Mapping]:
    """Load a folder without variables."""
    return load_mappings(folder, variables={}, dialect=dialect)


def refusal(folder: Path) -> str:
    """Return what the author is told about a folder that is refused."""
    with pytest.raises(MappingError) as caught:
        load(folder)
    return str(caught.value)


def write(folder: Path, content: str | bytes, name: str = "contacts/plan.sql") -> Path:
    """Put a file into the folder."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_mapping_is_what_its_file_says(folder):
    """Name, text, digest, purpose, settings and columns all come from the file."""
    text = (
        "-- Plan and billing cycle.\n--  Marketing keys off these.\n\n"
        "{{ config(priority='urgent', every='1m', fields={'plan': {'missing': 'churned'}}) }}\n"
        "select s.user_id as external_id, p.name as Plan, s.cycle\nfrom s join p using (id);\n"
    )
    write(folder, text)
    plan = load(folder)[1]
    assert (plan.name, plan.kind, plan.text) == ("contacts/plan", "contacts", text)
    assert plan.digest == hashlib.sha256(text.encode()).hexdigest()
    assert plan.purpose == "Plan and billing cycle. Marketing keys off these."
    assert (plan.priority, plan.every) == (Priority.URGENT, 60.0)
    assert plan.fields == {"plan": FieldSettings(missing="churned")}
    assert plan.columns == ("external_id", "plan", "cycle")


def test_mappings_come_by_name(folder):
    """The order is that of the names, not that of the disk."""
    for name in ("zeta", "alpha", "usage-2", "with.dot"):
        write(folder, PLAN, f"contacts/{name}.sql")
    names = [mapping.name.removeprefix("contacts/") for mapping in load(folder)]
    assert names == ["alpha", "identity", "usage-2", "with.dot", "zeta"]


@pytest.mark.parametrize(
    ("text", "purpose"),
    [
        ("/* Who they are.\n * For all. */\n", "Who they are. For all."),
        ("\n\n  -- One line\n", "One line"),
        ("-- a\n\n-- not this one\n", "a"),
        ("", ""),
        ("{# not this #}", ""),
    ],
)
def test_the_purpose_is_the_comment_at_the_top(folder, text, purpose):
    """Either kind of SQL comment says what the mapping is for."""
    write(folder, f"{text}{PLAN}")
    assert load(folder)[1].purpose == purpose


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("select * from u", ()),
        ("select u.*, 1 as x from u", ()),
        ("select count(*) from u", ()),
        ('select Id as External_Id, "Ab", u."C" as c from u', ("external_id", "Ab", "c")),
        ("select id as external_id, a from u union all select id, b from v", ("external_id", "a")),
        ("(select id as external_id, a from u)", ("external_id", "a")),
        ("with q as (select 1 as n) select n as external_id, n as b from q", ("external_id", "b")),
    ],
)
def test_columns_are_read_from_the_text_where_it_tells(folder, text, columns):
    """Where only the database knows, nothing is claimed."""
    write(folder, text)
    assert load(folder)[1].columns == columns


def test_names_are_folded_only_where_the_database_folds(folder):
    """SQLite and MySQL keep an unquoted name as it is written."""
    write(folder, "select id as External_Id, a as B from u")
    assert load(folder, "sqlite")[1].columns == ("External_Id", "B")
    assert load(folder, "mysql")[1].columns == ("External_Id", "B")


def test_what_lies_beside_mappings_is_passed_over(folder):
    """Notes, hidden files and what editors leave behind are no mappings."""
    for name in (".git", "README.md", "README", "notes.md", "old.sql~", "#plan.sql#"):
        write(folder, "not sql", f"contacts/{name}")
        write(folder, "not sql", name)
    assert [mapping.name for mapping in load(folder)] == ["contacts/identity"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("contact/plan.sql", "contact is no folder of mappings. Did you mean 'contacts'?"),
        ("plan.sql", "plan.sql is no folder of mappings."),
        (
            "tags/vip.sql",
            "vip.sql: a mapping of tags yields external_id and tag_name, not external_id, plan.",
        ),
        ("contacts/plan.sq", "plan.sq is no mapping. Did you mean plan.sql?"),
        ("contacts/plan.SQL", "Did you mean plan.sql?"),
        ("contacts/plan.sql.j2", "Did you mean plan.sql?"),
        ("contacts/my plan.sql", "my plan.sql is no mapping."),
        ("contacts/-.sql", "-.sql is no mapping. Mappings end in .sql."),
    ],
)
def test_a_file_where_none_belongs_is_named(folder, name, message):
    """A mistyped folder or ending must not silently switch a mapping off."""
    write(folder, PLAN, name)
    assert message in refusal(folder)


def test_folders_of_later_kinds_may_stand_empty(folder):
    """Only a mapping of a kind that does not work yet is an error."""
    (folder / "tags").mkdir()
    write(folder, "later", "events/README.md")
    assert len(load(folder)) == 1


def test_a_kind_that_is_a_file_is_an_error(tmp_path):
    """`contacts` has to be a folder."""
    (tmp_path / "contacts").write_text(PLAN)
    assert "contacts is not a folder." in refusal(tmp_path)


def test_a_folder_inside_a_kind_is_an_error(folder):
    """Mappings have one level of names."""
    (folder / "contacts" / "more.sql").mkdir()
    (folder / "contacts" / "deep").mkdir()
    assert "deep is no mapping." in refusal(folder)


def test_a_missing_folder_is_an_error(tmp_path):
    """The message says which folder and what to do."""
    message = refusal(tmp_path / "mapings")
    assert "mapings cannot be read: No such file or directory." in message
    assert "Correct mappings_dir" in message


def test_an_unknown_dialect_is_refused(folder):
    """A database that we cannot read is named as such."""
    with pytest.raises(SourceRefused, match="'oracle'"):
        load(folder, "oracle")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "contacts/plan.sql: is empty"),
        (b"\xef\xbb\xbf \r\n", "contacts/plan.sql: is empty"),
        (b"-- Only what it is for\n", "contacts/plan.sql: the file has no query"),
        (b"{{ config(every='1m') }}\n", "contacts/plan.sql: the file has no query"),
        (b"select id as external_id, '\xff' as x from u", "contacts/plan.sql:1: is not UTF-8"),
        (b"-- a\n-- b\nselect '\xff'", "contacts/plan.sql:3: is not UTF-8"),
        (b"select 1 as external_id,\x00 2 as x", "the file contains a NUL character"),
        (b"select (", "contacts/plan.sql:1: the SQL cannot be understood"),
        (b"-- p\nselect id as external_id, from from", "the SQL cannot be understood"),
        (b"select 'a", "the SQL cannot be read. A quote or a comment may not be closed."),
        (b"select 1 /* a", "the SQL cannot be read"),
        (b"select {{ var('x'", "contacts/plan.sql:1: unexpected end of template"),
        (b"select 1 {% if true %}", "contacts/plan.sql:1: Unexpected end of template"),
        (b"select " + b"(" * 5000 + b"1" + b")" * 5000, "the SQL is nested too deeply"),
        (b"-" * 1_000_001, "the file is too large to be a mapping"),
    ],
)
def test_f31_a_half_written_file_fails_the_whole_set(folder, content, message):
    """An empty, cut-off or garbled file is an error; no part of the set is returned."""
    write(folder, content)
    assert message in refusal(folder)


def test_f31_bom_and_line_ends_make_no_difference(folder):
    """The same mapping saved by another editor is the same mapping."""
    write(folder, PLAN + "\n")
    plain = load(folder)[1]
    for content in (f"\ufeff{PLAN}\n", f"{PLAN}\r\n", f"{PLAN}\r", f"\ufeff{PLAN}\r\n"):
        write(folder, content)
        assert load(folder)[1] == plain


def test_f31_a_deleted_file_is_no_mapping_any_more(folder):
    """The set without the file is a whole valid set."""
    path = write(folder, PLAN)
    assert len(load(folder)) == 2
    path.unlink()
    assert len(load(folder)) == 1


@pytest.mark.parametrize("target", ["plan.sql", "nowhere.sql"])
def test_f31_a_link_that_leads_nowhere_is_an_error(folder, target):
    """A loop of links, or one to nothing, is named instead of followed."""
    (folder / "contacts" / "plan.sql").symlink_to(target)
    assert "contacts/plan.sql: cannot be read" in refusal(folder)


def test_f31_a_loop_of_folders_is_an_error(folder):
    """A folder that leads back to itself ends the search."""
    (folder / "tags").symlink_to("tags")
    assert "tags is not a folder." in refusal(folder)
    (folder / "tags").unlink()
    (folder / "contacts" / "again").symlink_to(folder / "contacts")
    assert "again is no mapping." in refusal(folder)


def test_f31_a_link_to_a_file_is_followed(folder):
    """Configuration mounted by links, as in containers, works."""
    write(folder, PLAN, "..data")
    (folder / "contacts" / "plan.sql").symlink_to(folder / "..data")
    assert load(folder)[1].text == PLAN


def test_f31_a_folder_named_like_a_file_is_an_error(folder):
    """What cannot be read is named, with the system's reason."""
    (folder / "contacts" / "plan.sql").mkdir()
    assert "contacts/plan.sql: cannot be read: Is a directory" in refusal(folder)


def test_a_wrong_config_is_named_with_its_line(folder):
    """The line is that of config()."""
    write(folder, f"-- p\n{{{{ config(evry='1m') }}}}\n{PLAN}")
    assert "contacts/plan.sql:2: there is no setting 'evry'" in refusal(folder)


@pytest.mark.parametrize("text", ["select '{{ 1 }}' as a", "select 1 as a -- {{ 2 }}"])
def test_a_value_inside_quotes_is_an_error(folder, text):
    """It would be the text `$1`, not the value."""
    write(folder, text)
    assert "a value stands inside quotes or inside a comment" in refusal(folder)


@pytest.mark.parametrize(
    "text", ["delete from users", "select 1 as a; select 2", "select pg_sleep(9) as a"]
)
def test_f29_a_forbidden_mapping_does_not_stop_the_others(folder, text):
    """It is refused when it is read; the set is in force meanwhile."""
    write(folder, text)
    assert [mapping.columns for mapping in load(folder)] == [("external_id", "email"), ()]
