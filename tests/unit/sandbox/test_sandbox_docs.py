"""docs/sandbox.md tells what the code does."""

import re
from pathlib import Path

from meisa_cdc.sandbox import SandboxOptions, read_configured
from meisa_cdc.sandbox.api.table import ENDPOINTS
from meisa_cdc.sandbox.triggers import KINDS

TEXT = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text(encoding="utf-8")


def test_every_endpoint_is_told_with_its_scope():
    """The table has a row for each, and no other."""
    rows = re.findall(r"^\| `(GET|POST) (/[^_`][^`]*)` \| (.+?) \|", TEXT, re.MULTILINE)
    assert [(method, path, scope.strip("`")) for method, path, scope in rows] == [
        (endpoint.method, endpoint.path, endpoint.scope or "any valid key")
        for endpoint in ENDPOINTS
    ]


def test_the_example_of_a_file_can_be_used():
    """It is read, and a sandbox can be made of it."""
    (example,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    found = read_configured(example)
    options = SandboxOptions(
        automations=found.automations,
        sequences=found.sequences,
        email_triggers=found.email_triggers,
    )
    assert len(options.automations[0].actions) == 6


def test_every_trigger_is_told():
    """In the table of what it can be narrowed down by."""
    table = TEXT[TEXT.index("can be narrowed down by") :].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`[^|]*\|[^|]*\|", table)) | {"tag_removed"} >= set(KINDS)
