"""The table of all endpoints."""

from collections.abc import Mapping

from meisa_cdc.sandbox.api import contacts, emails, events, ping, sequences, tags
from meisa_cdc.sandbox.api.endpoint import Endpoint
from meisa_cdc.sandbox.errors import Refusal

#: Path of the API's base URL.
BASE_PATH = "/api/v1"

ENDPOINTS: tuple[Endpoint, ...] = (
    *ping.ENDPOINTS,
    *contacts.ENDPOINTS,
    *tags.ENDPOINTS,
    *events.ENDPOINTS,
    *emails.ENDPOINTS,
    *sequences.ENDPOINTS,
)


_FIXED = {(each.method, each.path): each for each in ENDPOINTS if not each.places}
_OPEN = tuple(each for each in ENDPOINTS if each.places)


def find_endpoint(method: str, path: str) -> tuple[Endpoint, Mapping[str, str]]:
    """The endpoint at exactly that place, and what stands in the path's open segments.

    Raises Refusal (404) saying what is near, if anything.
    """
    below = path.removeprefix(BASE_PATH) if path.startswith(BASE_PATH + "/") else ""
    fixed = _FIXED.get((method, below))
    if fixed is not None:
        return fixed, {}
    for endpoint in _OPEN:
        places = endpoint.match(below)
        if places is not None and endpoint.method == method:
            return endpoint, places
    raise Refusal(404, f"There is no {method} {path}{_advice(below)}.")


def _advice(below: str) -> str:
    for endpoint in ENDPOINTS:
        if endpoint.match(below) is not None:
            return f"; this path takes {endpoint.method}"
        if endpoint.match(below + "/") is not None:
            return "; the path ends with a slash"
    return ""
