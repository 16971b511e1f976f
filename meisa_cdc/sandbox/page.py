"""The sandbox's page: what Meisa now holds, and what its automations would have reacted to."""

from pathlib import Path

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from meisa_cdc.sandbox.account import Account
from meisa_cdc.sandbox.api.table import BASE_PATH
from meisa_cdc.sandbox.overview import Overview
from meisa_cdc.sandbox.values import iso

_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "cache-control": "no-store",
}


def _when(at: float) -> str:
    return iso(at)[:19].replace("T", " ")


def _compact(value: object) -> str:
    return orjson.dumps(value).decode()


_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {"compact": _compact, "when": _when}


def render(overview: Overview) -> str:
    """The page as HTML; every value is escaped."""
    return _TEMPLATES.get_template("page.html").render(seen=overview, base_path=BASE_PATH)


async def show(request: Request) -> Response:
    """Answers a request for the page."""
    account: Account = request.app.state.account
    return HTMLResponse(render(account.overview()), headers=_HEADERS)
