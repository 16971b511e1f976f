"""`meisa-cdc sandbox`: the local Meisa in the foreground."""

import logging
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from meisa_cdc.cli.command import command
from meisa_cdc.cli.session import Session
from meisa_cdc.core.errors import Stop

if TYPE_CHECKING:
    from meisa_cdc.sandbox import SandboxOptions

LAST_PORT = 65535
Port = Annotated[
    int,
    typer.Option(
        metavar="PORT", min=0, max=LAST_PORT, help="Port on this machine; 0 takes a free one."
    ),
]
Limits = Annotated[
    str, typer.Option(metavar="WINDOWS", help="Request windows as COUNT/PERIOD,…; none for none.")
]
ApiKeyText = Annotated[str, typer.Option(metavar="KEY", help="The key it accepts.")]
Fail = Annotated[
    str, typer.Option(metavar="RATE", help="Share of requests that fail, such as 10%.")
]
Latency = Annotated[
    str, typer.Option(metavar="DURATION", help="Time an answer takes, such as 200ms.")
]
Automations = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="What reacts to what is sent; see docs/sandbox.md."),
]
Examples = Annotated[
    bool, typer.Option("--examples", help="Start with the automations of the API documents.")
]
StateFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Keep everything in this file, across restarts."),
]


@command(
    "meisa-cdc sandbox",
    "meisa-cdc sandbox --port 9000 --limits 600/60s --fail 5% --latency 200ms",
    "meisa-cdc sandbox --examples",
    "meisa-cdc sandbox --automations automations.toml --state sandbox.db",
)
def sandbox(
    session: Session,
    *,
    port: Port = 8788,
    limits: Limits = "60/60s,1000/3600s",
    api_key: ApiKeyText = "meisa_test_sandbox",
    fail: Fail = "0%",
    latency: Latency = "0ms",
    automations: Automations = None,
    examples: Examples = False,
    state: StateFile = None,
) -> None:
    """Run a local stand-in for Meisa, to try things out on.

    It follows Meisa's API documents, keeps everything in memory unless told otherwise, and
    listens on this machine only. Its page shows the contacts it was sent, the triggers that
    fired, and what automations made of them. Ctrl-C ends it.
    """
    from meisa_cdc.core.durations import duration, share
    from meisa_cdc.sandbox import EXAMPLES, Account, ApiKey, OptionError, parse_limits, serve

    if examples and automations is not None:
        raise typer.BadParameter("--examples and --automations exclude each other.")
    try:
        options = replace(
            _configured(EXAMPLES if examples else automations),
            keys=(ApiKey(secret=api_key),),
            limits=parse_limits(limits),
            fail=share(fail),
            latency=duration(latency),
            state=state,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    session.start_log(usual=logging.WARNING)
    try:
        with closing(Account(options)) as account:
            serve(account, port=port, ready=lambda url: _announce(session, url, api_key))
    except OptionError as error:
        raise Stop(str(error)) from None


def _configured(automations: Path | None) -> "SandboxOptions":
    from meisa_cdc.sandbox import SandboxOptions, load_automations

    if automations is None:
        return SandboxOptions()
    found = load_automations(automations)
    return SandboxOptions(
        automations=found.automations,
        sequences=found.sequences,
        email_triggers=found.email_triggers,
    )


def _announce(session: Session, url: str, api_key: str) -> None:
    from meisa_cdc.sandbox.api.table import BASE_PATH

    base_url = url + BASE_PATH
    session.output.json({"url": url, "base_url": base_url, "api_key": api_key})
    session.output.text(f"The sandbox is at {url}. Point meisa-cdc at it with:")
    session.output.text(f"  export MEISA_BASE_URL={base_url}")
    session.output.text(f"  export MEISA_API_KEY={quote(api_key)}")
