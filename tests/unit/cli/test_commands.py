"""The list of commands, and what every one of them has."""

from typing import Annotated

import pytest
import typer

from meisa_cdc.cli.command import Command, Group, built, command
from meisa_cdc.cli.output import Format
from meisa_cdc.cli.registry import COMMANDS
from meisa_cdc.cli.session import Session


def help_of(declared, arguments=("--help",)):
    """Return the help page of a declared command."""
    return built("probe", declared).get_help(typer.Context(built("probe", declared)))


def every_command():
    """Yield (words, command) of all commands and of those inside groups."""
    for name, entry in COMMANDS.items():
        declared = entry.load()
        if isinstance(declared, Command):
            yield name, declared
        else:
            yield name, declared.default
            for second, inner in declared.commands.items():
                yield f"{name} {second}", inner


def test_the_list_says_what_the_commands_say():
    """The sentence in the list is the first of the command's own help."""
    for name, entry in COMMANDS.items():
        declared = entry.load()
        first = declared if isinstance(declared, Command) else declared.default
        sentence = (first.call.__doc__ or "").split("\n\n")[0]
        assert " ".join(sentence.split()) == entry.summary, name


@pytest.mark.parametrize(("words", "declared"), list(every_command()))
def test_every_command_has_help_with_an_example(words, declared):
    """Help shows at least one command line that starts with the command."""
    assert declared.call.__doc__
    assert declared.examples
    for example in declared.examples:
        assert example.startswith(f"meisa-cdc {words}")
    page = help_of(declared)
    for option in ("--config", "--env-file", "--verbose", "--quiet"):
        assert option in page
    assert f"  {declared.examples[0]}" in page


def run(declared, *arguments, session=None):
    """Run a declared command; return its exit code and the session it got."""
    session = session or Session()
    code = built("probe", declared).main(list(arguments), standalone_mode=False, obj=session)
    return code, session


def test_a_command_gets_its_options_and_the_shared_ones():
    """Own options arrive as arguments, shared ones in the session, the result is the exit code."""
    got = []

    @command("meisa-cdc probe")
    def probe(
        session: Session, name: str, *, limit: Annotated[int, typer.Option(help="How many.")] = 1
    ) -> int:
        """Probe."""
        got.append((session, name, limit))
        return 3

    code, session = run(probe, "x", "--limit", "7", "-v", "--format", "json", "--config", "c.toml")
    assert code == 3
    assert got == [(session, "x", 7)]
    assert session.verbose
    assert session.output.format is Format.JSON
    assert str(session.config) == "c.toml"


def test_a_command_without_results_has_no_format():
    """--format stands only where results are printed."""

    @command("meisa-cdc probe", results=False)
    def probe(session: Session) -> None:
        """Probe."""

    assert "--format" not in help_of(probe)
    assert run(probe)[0] is None


def test_options_before_the_command_count_as_well():
    """What was given to the program itself is kept unless the command overrides it."""

    @command("meisa-cdc probe")
    def probe(session: Session) -> None:
        """Probe."""

    session = Session(verbose=True)
    run(probe, "--env-file", "x.env", session=session)
    assert session.verbose
    assert str(session.env_file) == "x.env"


def test_verbose_and_quiet_exclude_each_other():
    """Both at once are a usage error."""

    @command("meisa-cdc probe")
    def probe(session: Session) -> None:
        """Probe."""

    with pytest.raises(typer.BadParameter):
        run(probe, "-v", "-q")


def test_a_group_does_something_by_its_name_alone():
    """`quarantine` is `quarantine list`; a second word picks another command."""
    calls: list[tuple[str, object]] = []

    @command("meisa-cdc probe")
    def listing(session: Session, *, limit: int = 5) -> int:
        """List."""
        calls.append(("list", limit))
        return 4

    @command("meisa-cdc probe retry")
    def retry(session: Session, key: str) -> None:
        """Retry."""
        calls.append(("retry", key))

    group = Group(default=listing, commands={"list": listing, "retry": retry})
    assert run(group, "--limit", "2")[0] == 4
    assert run(group, "list")[0] == 4
    assert run(group, "retry", "k")[0] is None
    assert calls == [("list", 2), ("list", 5), ("retry", "k")]
