"""Each row of docs/api-coverage.md names what exists, and the rows leave nothing out."""

import ast
import inspect
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from pydantic import BaseModel

from meisa_cdc import meisa as package
from meisa_cdc.meisa import MeisaClient
from meisa_cdc.meisa.endpoints import ENDPOINTS
from meisa_cdc.sandbox.api.table import ENDPOINTS as SANDBOX

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "api-coverage.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (?!documents \||---)(.+) \| `(.+)` \| (?:`(.+)`|all) \| `(.+)` \|$")
SECTION = re.compile(r"^## `((?:GET|POST) [^`\n]+)`\n(.*?)(?=^## )", re.MULTILINE | re.DOTALL)


class Row(NamedTuple):
    """One row of a table."""

    what: str
    client: str
    #: METHOD /path/; empty where the row is about all of them.
    route: str
    test: str


def _rows() -> list[Row]:
    lines = [line for line in PAGE.splitlines() if line.startswith("|")]
    lines = [line for line in lines if not line.startswith(("| documents |", "|---"))]
    found = [ROW.match(line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if not match]
    return [Row(*(group or "" for group in match.groups())) for match in found if match]


ROWS = _rows()
ROUTES = {f"{each.method} {each.path}" for each in ENDPOINTS}
METHODS = {
    name: method
    for name, method in inspect.getmembers(MeisaClient, inspect.isfunction)
    if not name.startswith("_") and name != "close"
}


def _exists(reference: str) -> bool:
    """Tell whether `Name`, `Class.member` or `Class.method(argument)` is there."""
    owner, _, rest = reference.partition(".")
    thing = getattr(package, owner, None)
    if thing is None or not rest:
        return thing is not None
    member, _, argument = rest.rstrip(")").partition("(")
    if argument:
        return argument in inspect.signature(getattr(thing, member)).parameters
    if issubclass(thing, package.MeisaError):
        return member in {"nothing_done", "repeatable", "retry_after", "status"}
    fields = getattr(thing, "model_fields", None) or getattr(thing, "__annotations__", {})
    return member in fields or (member in METHODS and thing is MeisaClient)


@pytest.mark.parametrize("row", ROWS, ids=map(str, range(len(ROWS))))
def test_a_row_names_what_the_client_has(row):
    """A method, an argument, a member or an error that can be imported."""
    assert _exists(row.client), row


def test_every_row_names_a_test():
    """By its file, somewhere under tests/, and its function."""
    known: dict[str, set[str]] = {}
    for stem in {row.test.partition("::")[0] for row in ROWS}:
        (file,) = (ROOT / "tests").rglob(f"{stem}.py")
        tree = ast.parse(file.read_text(encoding="utf-8"))
        known[stem] = {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}
    missing = [
        row for row in ROWS if row.test.partition("::")[2] not in known[row.test.split("::")[0]]
    ]
    assert missing == []


def test_every_row_names_a_route_of_the_sandbox():
    """And the sandbox has none that the client lacks."""
    named = {row.route for row in ROWS if row.route}
    assert named == ROUTES == {f"{each.method} {each.path}" for each in SANDBOX}


def test_every_endpoint_has_its_table():
    """One heading an endpoint, and every row below it is about that one."""
    sections = re.findall(
        r"^## `((?:GET|POST) [^`\n]+)`\n(.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL
    )
    assert {heading for heading, _ in sections} == ROUTES
    for heading, section in sections:
        routes = [match[3] for line in section.splitlines() if (match := ROW.match(line))]
        assert set(routes) == {heading}
        (endpoint,) = [each for each in ENDPOINTS if heading == f"{each.method} {each.path}"]
        assert endpoint.scope in section


def test_every_method_and_argument_of_the_client_has_a_row():
    """What the client offers is in the documents."""
    wanted = set()
    for name, method in METHODS.items():
        wanted.add(f"MeisaClient.{name}")
        arguments = list(inspect.signature(method).parameters)[1:]
        wanted |= {f"MeisaClient.{name}({argument})" for argument in arguments}
    assert wanted - {row.client for row in ROWS} == set()


def test_every_member_of_an_answer_has_a_row():
    """So is what its answers hold."""
    wanted = set()
    for name in package.__all__:
        thing = getattr(package, name)
        if isinstance(thing, type) and issubclass(thing, BaseModel):
            wanted |= {f"{name}.{field}" for field in thing.model_fields}
    assert wanted - {row.client for row in ROWS} == set()
