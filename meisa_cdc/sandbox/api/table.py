"""The table of all endpoints."""

from meisa_cdc.sandbox.api import contacts, ping
from meisa_cdc.sandbox.api.endpoint import Endpoint
from meisa_cdc.sandbox.errors import Refusal

#: Path of the API's base URL.
BASE_PATH = "/api/v1"

ENDPOINTS: tuple[Endpoint, ...] = (*ping.ENDPOINTS, *contacts.ENDPOINTS)

_BY_PLACE = {(endpoint.method, BASE_PATH + endpoint.path): endpoint for endpoint in ENDPOINTS}


def find_endpoint(method: str, path: str) -> Endpoint:
    """The endpoint at exactly that place. Raises Refusal (404) saying what is near, if anything."""
    endpoint = _BY_PLACE.get((method, path))
    if endpoint is None:
        raise Refusal(404, f"There is no {method} {path}{_advice(path)}.")
    return endpoint


def _advice(path: str) -> str:
    methods = {known: method for method, known in _BY_PLACE}
    if path in methods:
        return f"; this path takes {methods[path]}"
    if path + "/" in methods:
        return "; the path ends with a slash"
    return ""
