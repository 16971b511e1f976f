"""What a template may and may not do; F30."""

from datetime import date

import pytest

from meisa_cdc.core.errors import MappingError
from meisa_cdc.source.dialects import POSTGRESQL, SQLITE
from meisa_cdc.source.query import numbered
from meisa_cdc.source.rendering import Rendered, render

INJECTION = "x'; drop table users; --"


def rendered(text: str, **variables: object) -> Rendered:
    """Render a mapping for Postgres."""
    return render(text, mapping="contacts/plan", variables=variables, dialect=POSTGRESQL)


def sql(text: str, **variables: object) -> tuple[str, list[object]]:
    """Return what a full read on Postgres sends: text and values."""
    values: list[object] = []
    written = rendered(text, **variables).query.write(POSTGRESQL, numbered(values))
    return written.text, values


def refusal(text: str, **variables: object) -> str:
    """Return what the author is told about a template that is refused."""
    with pytest.raises(MappingError) as caught:
        rendered(text, **variables)
    assert caught.value.mapping == "contacts/plan"
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''['__class__'] }}",
        "{{ config.__globals__ }}",
        "{{ config.__func__.__globals__ }}",
        "{{ only.__self__ }}",
        "{{ only('x').column }}",
        "{{ self }}",
        "{{ self._TemplateReference__context }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ [].append(1) }}",
        "{{ {}.update({}) }}",
        "{{ [].__class__ }}",
        "{{ lipsum() }}",
        "{{ cycler('a') }}",
        "{{ namespace() }}",
        "{{ 'x' | attr('__class__') }}",
        "{{ 'drop table users' | sql(1) }}",
        "{{ ['x'] | map('upper') | list }}",
        "{% include 'secret' %}",
        "{% import 'os' as os %}",
        "{% from 'os' import path %}",
        "{% extends 'x' %}",
        "{% macro f() %}x{% endmacro %}",
        "{% block b %}{% endblock %}",
        "{% call f() %}{% endcall %}",
        "{% filter upper %}x{% endfilter %}",
        "{% set x %}drop{% endset %}",
        "{% for x in [1] recursive %}{{ loop([2]) }}{% endfor %}",
        "{% for x in [1] %}{{ loop.__class__ }}{% endfor %}",
        "{{ range(3).__class__ }}",
        "{{ var('x').real.__class__ }}",
    ],
)
def test_f30_no_way_leads_out_of_the_template(text):
    """Attributes, unknown functions, other files and captured text are refused."""
    assert "contacts/plan.sql:1" in refusal(text, x=1)


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'a' * 10 ** 9 }}",
        "{{ [0] * 10 ** 9 }}",
        "{{ 10 ** 10 ** 10 }}",
        "{{ 2 ** 64 * 2 ** 64 }}",
        "{{ 1 ** 1000000 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ 'a'.ljust(1000000000) }}",
        "{{ 'a' | center(1000000000) }}",
        "{{ range(10 ** 9) }}",
        "{% for x in range(100000000) %}x{% endfor %}",
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{% set a = 'aaaaaaaaaaaaaaaa' %}" + "{% set a = a ~ a %}" * 40,
        "{% set a = 'aaaaaaaaaaaaaaaa' %}" + "{% set a = a + a %}" * 40,
        "{% set a = [1, 2] %}" + "{% set a = a + a %}" * 40,
        "{% set a = [1, 2] %}" + "{% set a = [a, a] %}" * 40,
        "{% set a = (1, 2) %}" + "{% set a = (a, a) %}" * 40,
        "{% set a = {'x': 1} %}" + "{% set a = {'x': a, 'y': a} %}" * 40,
        "{{ ('a' * 1) | replace('a', 'aa') }}",
        "{% set a = 'aaaaaaaaaaaaaaaa' %}" + "{% set a = a | replace('a', 'aaaaaaaa') %}" * 20,
        "{% set a = ['aaaaaaaaaaaaaaaa', 'a'] %}"
        + "{% set a = [a | join('a'), a | join('b')] %}" * 40,
        "{% for x in range(9999) %}" + "select 1 as a_rather_long_line " * 10 + "{% endfor %}",
        "{% for x in range(9999) %}{{ x }}{{ x }}{% endfor %}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{% if 1 %}" * 60 + "{% endif %}" * 60,
        "{% if 1 %}" * 2000 + "{% endif %}" * 2000,
        "select 1 " * 100_000,
    ],
)
def test_f30_a_template_bomb_is_refused(text):
    """What would fill the memory or run for hours ends early, whatever it is made of."""
    assert "contacts/plan.sql" in refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "select {{ nope }}",
        "{% if nope %}{% endif %}",
        "{{ nope.deeper }}",
        "{{ nope + 1 }}",
        "{{ 'a' ~ nope }}",
        "{{ [nope] | join }}",
        "{{ nope | upper }}",
        "{{ config(every=nope) }}",
        "{{ only(nope) }}",
        "{% for x in nope %}{% endfor %}",
    ],
)
def test_f30_an_undefined_name_is_an_error(text):
    """A mistyped name is named, not rendered as nothing."""
    assert refusal(text) == "contacts/plan.sql:1: 'nope' is undefined"


@pytest.mark.parametrize(
    "text",
    [
        "select {{ var('x') }}",
        "select {% if true %}{{ var('x') }}{% endif %}",
        "select {% for x in [var('x')] %}{{ x }}{% endfor %}",
        "{% set x = var('x') %}select {{ x }}",
        "select {{ var('x') | trim }}",
        "select {{ '' ~ var('x') }}",
    ],
)
def test_f30_a_variable_is_bound_never_text(text):
    """What a variable holds reaches the database beside the text, whatever it looks like."""
    text, values = sql(text, x=INJECTION)
    assert (text.strip(), values) == ("select $1", [INJECTION])


def test_f30_a_constant_is_bound_too():
    """Jinja does not fold a constant into the text while it compiles."""
    assert sql("select {{ 'a' }}, {{ 1 + 2 }}, {{ none }}") == (
        "select $1 , $2 , $3 ",
        ["a", 3, None],
    )


@pytest.mark.parametrize(
    "value", ["u.id; drop table users", "u id", "", "1u", "u..id", 'u"', "ü", 5]
)
def test_f30_identifier_takes_names_alone(value):
    """The one filter that makes text of a value makes it of names only."""
    assert "is not the name of a table or column" in refusal(
        "{{ x_ | identifier }}".replace("x_", "var('x')"), x=value
    )


def test_identifier_quotes_every_part():
    """A schema and a table become two quoted names, in the text."""
    text, values = sql("select 1 from {{ var('table') | identifier }}", table="crm.Users")
    assert (text, values) == ('select 1 from "crm"."Users"', [])


def test_a_list_becomes_one_parameter_each():
    """`in {{ list }}` is a list of placeholders, and an empty list matches nothing."""
    assert sql("x in {{ xs_ }}".replace("xs_", "var('xs')"), xs=["a", 2]) == (
        "x in ($1 , $2 )",
        ["a", 2],
    )
    assert sql("x in {{ [] }}") == ("x in (null)", [])


@pytest.mark.parametrize(
    "value", [{"a": 1}, [["a"]], [{"a": 1}], b"x", object(), "a\x00", ["\ud800"]]
)
def test_what_no_column_holds_is_no_value(value):
    """A dict, a list of lists or bytes cannot be bound."""
    assert "cannot be a value" in refusal("{{ var('x') }}", x=value)


def test_dates_of_the_settings_file_are_values():
    """TOML has dates; they are bound as dates."""
    assert sql("{{ var('since') }}", since=date(2026, 1, 12))[1] == [date(2026, 1, 12)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{% if dialect == 'postgresql' %}a{% else %}b{% endif %}", "a"),
        (
            "{% for a, b in [(0, 1), (0, 2)] %}{{ b }}{% if loop.first %},{% endif %}{% endfor %}",
            "$1 ,$2 ",
        ),
        ("{% for k, v in {'a': 1}.items() %}{{ v }}{% endfor %}", "$1 "),
        ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
        ("a{# gone #}b", "ab"),
        ("{{ config() }}a", "a"),
    ],
)
def test_the_useful_part_of_jinja_works(text, expected):
    """Conditions, loops, sets and comments do what users of dbt expect."""
    found, _ = sql(text)
    assert found == expected


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'a' ~ 1 ~ 'b'", "a1b"),
        ("'a' + 'b'", "ab"),
        ("[1] + [2]", (1, 2)),
        ("7 // 2", 3),
        ("7 % 4", 3),
        ("2 ** 10", 1024),
        ("'Ab' | lower", "ab"),
        ("'Ab'.upper()", "AB"),
        ("' a ' | trim", "a"),
        ("'a-b' | replace('-', '_')", "a_b"),
        ("[3, 1, 2] | sort | first", 1),
        ("[3, 1, 2] | max", 3),
        ("[1, 1, 2] | unique | length", 2),
        ("[1, 2] | reverse | first", 2),
        ("[1, 2] | join('-')", "1-2"),
        ("'5' | int", 5),
        ("'5' | float", 5.0),
        ("5 | string", "5"),
        ("none | default('a', true)", "a"),
        ("x | default('a')", "a"),
        ("'a' if x is defined else 'b'", "b"),
        ("1.26 | round(1)", 1.3),
        ("(-3) | abs", 3),
        ("range(3)", (0, 1, 2)),
        ("var('n')", 4),
        ("var('m', 5)", 5),
        ("{'a': 1}.get('a')", 1),
        ("'abc'.startswith('a')", True),
        ("[1, 2][-1]", 2),
    ],
)
def test_expressions_come_to_values(expression, value):
    """The operators and filters that are there do what their names say."""
    values = sql("{{ E }}".replace("E", expression), n=4)[1]
    assert (tuple(values) if isinstance(value, tuple) else values[0]) == value


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("select 1\n\n{{ nope }}", 3, "'nope' is undefined"),
        ("a\n{% if %}", 2, "Expected an expression"),
        ("a\nb\n{{ 'x", 3, "unexpected char"),
        ("a\n{{ 1 / 0 }}", 2, "division by zero"),
        ("a\n{{ 'a' + 1 }}", 2, "str + int is not possible here"),
        ("a\n{{ 'a' | shout }}", 2, "No filter named 'shout'"),
        ("a\n{{ only('1=1 or x') }}", 2, "only() takes the name of a column"),
        ("a\n{{ only(5) }}", 2, "only() takes the name of a column"),
        ("a\n{{ changed_since('now()') }}", 2, "changed_since() takes the name of a column"),
        ("a\n{{ config('1m') }}", 2, "config takes settings by name"),
        ("{{ config() }}\n{{ config() }}", 2, "config is called twice"),
        ("a\n{{ config(every='1s', every='2s') }}", 2, "keyword argument repeated: every"),
        ("a\n{{ only() }}", 2, "only() takes the name of a column, not nothing"),
        ("a\n{{ only('a', 3) }}", 2, "only() takes the name of a column, not 'a', 3"),
        ("a\n{{ changed_since() }}", 2, "changed_since() takes the name of a column, not nothing"),
        ("a\n{{ var('topn') }}", 2, "there is no variable 'topn'. Did you mean 'top'?"),
        ("a\n{{ var(5) }}", 2, "var takes a name in quotes"),
        ("a\n{{ vra('top') }}", 2, "there is no function vra"),
        ("a\n{{ [1] | first | upper | first | nope }}", 2, "No filter named 'nope'"),
        ("a\n{{ [] | first }}", 2, "list index out of range"),
        ("a\n{{ var }}", 2, "a method cannot be a value"),
        ("a\n{{ ['a', none] | join }}", 2, "a NoneType is no text"),
        ("a\n{{ ',' if false }}", 2, "an if without an else has no value"),
    ],
)
def test_a_mistake_is_named_with_its_line(text, line, message):
    """Whatever goes wrong in a template is told with file and line, never as a traceback."""
    with pytest.raises(MappingError) as caught:
        rendered(text, top=3)
    assert message in str(caught.value)
    assert caught.value.line == line


@pytest.mark.parametrize(
    "column", ["u.id", "id", ' u . "Id" ', "`u`.`id`", "crm.users.id", "u$1.id_2", "größe"]
)
def test_only_takes_a_column(column):
    """A path of names, quoted or not, is what stands in the condition."""
    query = rendered("{{ only(C) }}".replace("C", repr(column))).query
    written = query.write(SQLITE, lambda _: "?", ["a"])
    assert written.text == f"{column.strip()} in (?)"


@pytest.mark.parametrize(
    "column",
    [
        "lower(u.id)",
        "u.id or 1=1",
        "u.id::text",
        "",
        "'u'",
        "u.id --",
        "u.id/**/",
        '"u',
        "a.b.c.d.e",
    ],
)
def test_only_takes_nothing_else(column):
    """An expression would be text that nobody looked at."""
    assert "only() takes the name of a column" in refusal(
        "{{ only(C) }}".replace("C", repr(column))
    )


def test_only_is_true_in_a_full_read():
    """Without keys the condition holds for every row."""
    query = rendered("where {{ only('u.id') }}").query
    assert query.write(SQLITE, lambda _: "?").text == "where 1=1"
    assert query.write(POSTGRESQL, lambda _: "?").text == "where true"
    assert query.restrictable
    assert not rendered("where true").query.restrictable


def test_keys_are_one_array_on_postgres_and_typed_on_sqlite():
    """Postgres reads the list in the column's type; SQLite gets each number as a number too."""
    query = rendered("where {{ only('u.id') }}").query
    values: list[object] = []
    text = query.write(POSTGRESQL, numbered(values), ["7", 'a"b\\c']).text
    assert (text, values) == ("where u.id = any($1 )", ['{"7","a\\"b\\\\c"}'])
    assert SQLITE.key_values(["7", "07", "x", "9" * 19, "-3", "-0"]) == [
        *["7", "07", "x", "9" * 19, "-3", "-0"],
        *[7, -3],
    ]


def test_config_is_handed_over_as_written():
    """What config() says is kept with its line and puts out nothing."""
    found = rendered("\n{{ config(every='1m',\n  enabled=false) }}\nselect 1")
    assert (found.config, found.line) == ({"every": "1m", "enabled": False}, 2)


def test_lines_survive_what_renders_to_nothing():
    """A place in the SQL leads back to the line of the file it came from."""
    text = "{{ config(\n  every='1m'\n) }}\nselect {{ 1\n }},\n{{ 'a.b' | identifier }} from t"
    written = rendered(text).query.write(POSTGRESQL, lambda _: "?")
    assert written.line_at(written.text.index("select")) == 4
    assert written.line_at(written.text.index('"a"')) == 6
    assert written.line_at(written.text.index("from")) == 6
