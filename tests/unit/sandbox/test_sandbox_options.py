"""Options and the texts they are given as."""

import pytest

from meisa_cdc.sandbox import (
    ApiKey,
    OptionError,
    SandboxOptions,
    Window,
    parse_duration,
    parse_limits,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("200ms", 0.2), ("30s", 30.0), ("5m", 300.0), ("1h", 3600.0), (" 7d ", 604_800.0), ("0s", 0)],
)
def test_a_duration_is_read_in_seconds(text, seconds):
    """Every documented unit counts, and blanks around the text do not."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "1.5s", "-1s", "1 s", "1y", "٣s"])
def test_what_is_no_duration_is_refused_with_an_example(text):
    """The error shows the text and how to write one."""
    with pytest.raises(OptionError, match="200ms"):
        parse_duration(text)


def test_limits_are_any_number_of_windows():
    """Each COUNT/PERIOD becomes a window; `none` means none at all."""
    assert parse_limits("5/500ms, 60/60s,1000/1h") == (
        Window(count=5, period=0.5),
        Window(count=60, period=60),
        Window(count=1000, period=3600),
    )
    assert parse_limits("none") == ()


@pytest.mark.parametrize("text", ["", "60", "60x60s", "60/60", "/60s", "0/60s", "60/0s", "60/60s,"])
def test_what_is_no_limit_is_refused_by_name(text):
    """The error says that it is about limits."""
    with pytest.raises(OptionError, match="limits: "):
        parse_limits(text)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"fail": 1.5}, "fail"),
        ({"fail": float("nan")}, "fail"),
        ({"latency": -1.0}, "latency"),
        ({"latency": float("inf")}, "latency"),
        ({"created_status": 204}, "created-status"),
        ({"keys": ()}, "api-key"),
        ({"keys": (ApiKey(), ApiKey(name="twin"))}, "api-key"),
        ({"kinds": frozenset()}, "kinds"),
        ({"kinds": frozenset({"leaky"})}, "kinds"),
        ({"log_size": 0}, "log-size"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(options, named):
    """The error names the option at fault."""
    with pytest.raises(OptionError, match=f"^{named}: "):
        SandboxOptions(**options)


def test_a_key_has_a_secret_and_real_scopes():
    """An empty key and a scope that Meisa does not have are refused."""
    with pytest.raises(OptionError, match="api-key"):
        ApiKey(secret="")
    with pytest.raises(OptionError, match="contacts:delete"):
        ApiKey(scopes=("contacts:delete",))


def test_a_key_is_not_shown():
    """The secret is in no repr, of the key or of the options."""
    assert "s3cret" not in repr(SandboxOptions(keys=(ApiKey(secret="s3cret"),)))


def test_the_defaults_are_those_of_the_documents():
    """60 a minute and 1,000 an hour, every scope, and 200 for a created contact."""
    options = SandboxOptions()
    assert [str(window) for window in options.limits] == ["60/60s", "1000/3600s"]
    assert len(options.keys[0].scopes) == 7
    assert options.created_status == 200
