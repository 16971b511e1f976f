"""What a command prints, and where."""

import io
import json
from pathlib import Path

import pytest

from meisa_cdc.cli.output import Format, Output, printable
from meisa_cdc.core.errors import Stop
from meisa_cdc.logs import Redactor


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self):
        """Claim it."""
        return True


class Printed:
    """An output and what went to its two streams."""

    def __init__(self, kind=io.StringIO, **options):
        self.stdout, self.stderr = kind(), kind()
        self.output = Output(stdout=self.stdout, stderr=self.stderr, **options)

    @property
    def out(self):
        """What went to stdout."""
        return self.stdout.getvalue()

    @property
    def err(self):
        """What went to stderr."""
        return self.stderr.getvalue()


def test_text_and_json_speak_in_their_own_format():
    """A command says both; the user gets the one that was asked for."""
    text, document = Printed(), Printed(form=Format.JSON)
    for printed in (text, document):
        printed.output.json({"a": "é"})
        printed.output.text("words")
    assert text.out == "words\n"
    assert document.out == '{"a":"é"}\n'


def test_results_and_remarks_are_kept_apart():
    """Only results go to stdout."""
    printed = Printed()
    printed.output.note("by the way")
    printed.output.warn("careful")
    printed.output.error("broken")
    assert printed.out == ""
    assert printed.err == "by the way\nwarning: careful\nbroken\n"


def test_quiet_leaves_results_and_errors():
    """--quiet silences remarks alone."""
    printed = Printed(quiet=True)
    printed.output.note("by the way")
    printed.output.error("broken")
    printed.output.text("result")
    assert (printed.out, printed.err) == ("result\n", "broken\n")


def test_tables_are_whole_and_plain_off_a_terminal():
    """Nothing is cut, coloured or padded where no person looks."""
    printed = Printed()
    long = "x" * 300
    output = printed.output
    output.text(output.table("name", "count", rows=[(long, 5), (None, 12)], right="count"))
    lines = printed.out.splitlines()
    assert lines[0].split() == ["name", "count"]
    assert long in printed.out
    assert printed.out.count("\x1b") == 0
    assert [line for line in lines if line != line.rstrip()] == []
    assert lines[-1].endswith("   12")


def test_data_cannot_steer_the_terminal():
    """Control characters and markup in values are shown, not obeyed."""
    printed = Printed()
    output = printed.output
    output.text("a\x1b[31mb\x07")
    output.text(output.table("x", rows=[("[red]c\x1b]0;title\x07",)]))
    assert "\x1b" not in printed.out
    assert "a\\x1b[31mb\\x07" in printed.out
    assert "[red]c\\x1b]0;title\\x07" in printed.out
    assert printable("a\tb\nc") == "a\tb\nc"


def test_f72_secrets_are_hidden_in_every_word():
    """Whatever a command prints, a known secret is not in it."""
    redactor = Redactor()
    redactor.add("hunter22")
    printed = Printed(redactor=redactor)
    output = printed.output
    output.text("key hunter22")
    output.text(output.table("k", rows=[("hunter22",)]))
    output.note("hunter22")
    output.warn("hunter22")
    output.error("hunter22")
    assert "hunter22" not in printed.out + printed.err


def test_errors_are_coloured_on_a_terminal():
    """A person sees at once what went wrong."""
    printed = Printed(Terminal, colour=True)
    printed.output.error("broken [x]")
    assert "\x1b[31m" in printed.err
    assert "broken [x]" in printed.err


def test_no_color_is_obeyed():
    """Without colour there is no escape sequence at all."""
    printed = Printed(Terminal, colour=False)
    printed.output.error("broken")
    printed.output.text(printed.output.table("x", rows=[("y",)]))
    assert "\x1b" not in printed.out + printed.err


def test_progress_is_silent_off_a_terminal():
    """Logs and pipes get no bars."""
    printed = Printed()
    with printed.output.progress("delivering", total=10) as steps:
        steps.reach(5)
    assert printed.out + printed.err == ""


def test_progress_is_shown_to_a_person():
    """On a terminal a bar shows how far the work is, on stderr."""
    printed = Printed(Terminal, colour=False)
    with printed.output.progress("delivering", total=10) as steps:
        steps.reach(5)
        steps.reach(6, total=12)
    assert printed.out == ""
    assert "delivering" in printed.err
    assert "6/12" in printed.err


def test_quiet_hides_progress():
    """--quiet wants no bar either."""
    printed = Printed(Terminal, quiet=True)
    with printed.output.progress("delivering"):
        pass
    assert printed.err == ""


def test_a_full_disk_is_told():
    """A result that cannot be written is an error of its own, told once."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        output = Output(stdout=full, stderr=io.StringIO())
        with pytest.raises(Stop, match="could not be written: No space left on device"):
            output.text("result")
        output.text("more")


def test_json_takes_what_python_counts_as_keys():
    """Numbers as keys become texts, as JSON wants them."""
    printed = Printed(form=Format.JSON)
    printed.output.json({1: {"b": None}})
    assert json.loads(printed.out) == {"1": {"b": None}}
