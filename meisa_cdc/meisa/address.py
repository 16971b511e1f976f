"""Where Meisa is, and by which way: the base URL and the proxy, checked before anything is sent."""

import ipaddress

import httpx

from meisa_cdc.core.errors import SettingsError


def base_address(text: str) -> str:
    """Return the base URL without its last slash.

    Raises SettingsError unless it is an https URL, or an http one of this very machine.
    """
    url = _parsed(text, "MEISA_BASE_URL")
    if url.scheme not in {"http", "https"} or not url.host:
        raise SettingsError(
            "MEISA_BASE_URL is not a web address.", hint="Write https://api.meisa.io/api/v1."
        )
    if url.userinfo or url.query or url.fragment:
        raise SettingsError("MEISA_BASE_URL must hold neither a login nor a query nor a fragment.")
    if url.scheme == "http" and not is_loopback(url.host):
        raise SettingsError(
            f"MEISA_BASE_URL would send the API key to {url.host} in the clear.",
            hint="Write https://; plain http is for this machine alone.",
        )
    return str(url).rstrip("/")


def proxy_address(text: str) -> httpx.Proxy:
    """Return the proxy. Raises SettingsError unless it is an http URL, with or without a login."""
    url = _parsed(text, "The proxy")
    if url.scheme != "http" or not url.host:
        raise SettingsError(
            "The proxy is not given as an http URL.", hint="Write http://proxy.example:3128."
        )
    return httpx.Proxy(url)


def is_loopback(host: str) -> bool:
    """Tell whether a host of a URL can only be this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _parsed(text: str, what: str) -> httpx.URL:
    try:
        return httpx.URL(text.strip())
    except httpx.InvalidURL:
        # The text itself stays out of the message: it may hold a password.
        raise SettingsError(f"{what} is not a web address.") from None
