"""Where Meisa may be, and by which way."""

import pytest

from meisa_cdc.core.errors import SettingsError
from meisa_cdc.meisa.address import base_address, is_loopback, proxy_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://api.meisa.io/api/v1", "https://api.meisa.io/api/v1"),
        (" https://api.meisa.io/api/v1/ ", "https://api.meisa.io/api/v1"),
        ("https://meisa.example:8443", "https://meisa.example:8443"),
        ("http://localhost:8000/api/v1", "http://localhost:8000/api/v1"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.8.8.8/x", "http://127.8.8.8/x"),
        ("http://[::1]:8000/x", "http://[::1]:8000/x"),
    ],
)
def test_a_usable_address_loses_only_its_last_slash(text, address):
    """Https anywhere and http on this machine are taken as they are."""
    assert base_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "http://api.meisa.io/api/v1",
        "http://10.0.0.1/api/v1",
        "http://localhost.example.com/api/v1",
        "http://127.0.0.1.example.com/",
        "http://0.0.0.0:8000",
        "http://[::2]/",
    ],
)
def test_f70_plain_http_to_another_machine_is_refused(text):
    """The key never travels in the clear."""
    with pytest.raises(SettingsError, match="in the clear"):
        base_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.meisa.io",
        "ftp://api.meisa.io",
        "https://",
        "https://user:secret@api.meisa.io",
        "https://api.meisa.io/?key=secret",
        "https://api.meisa.io/#secret",
        "https://api.meisa.io:secret/",
    ],
)
def test_an_address_that_is_none_is_refused_without_quoting_it(text):
    """It may hold a password, so the message does not repeat it."""
    with pytest.raises(SettingsError) as refused:
        base_address(text)
    assert "secret" not in str(refused.value)


def test_a_proxy_keeps_its_login_out_of_its_url():
    """The login goes into a header of its own."""
    proxy = proxy_address("http://user:secret@proxy.example:3128")
    assert str(proxy.url) == "http://proxy.example:3128"
    assert proxy.raw_auth == (b"user", b"secret")


@pytest.mark.parametrize(
    "text", ["proxy.example:3128", "socks5://proxy.example", "https://u:secret@proxy.example", ""]
)
def test_only_http_proxies_are_taken(text):
    """Other kinds are refused at once, not at the first request."""
    with pytest.raises(SettingsError) as refused:
        proxy_address(text)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(("host", "loopback"), [("LOCALHOST", True), ("::1", True), ("a", False)])
def test_loopback_is_told_by_name_or_number(host, loopback):
    """A name is trusted only if it can mean nothing else."""
    assert is_loopback(host) is loopback
