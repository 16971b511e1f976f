"""How the typed client is made, sends and closes."""

import ssl
import time
from collections.abc import Callable, Mapping
from typing import Self

import httpx

from meisa_cdc.core.errors import InvalidValue, SettingsError
from meisa_cdc.core.outcome import Answer
from meisa_cdc.meisa import bodies
from meisa_cdc.meisa.bodies import Body
from meisa_cdc.meisa.endpoints import Endpoint
from meisa_cdc.meisa.errors import FixAddress, FixKey, FixRequest
from meisa_cdc.meisa.http_meisa import HttpMeisa
from meisa_cdc.meisa.judging import Read, read
from meisa_cdc.meisa.key import ApiKey

KEYS = "Pass one that Meisa shows under Settings → API Keys."
BASE_URL = "https://api.meisa.io/api/v1"


class Calls:
    """One Meisa, called with one key.

    `api_key` may be a callable: it is asked before each request, so that a rotated key is picked
    up. `timeout` is in seconds and bounds a whole request. `proxy` is the only proxy used, the
    environment's is not looked at; `tls` trusts other authorities than the usual ones;
    `transport` takes the place of the network, `monotonic` and `now` (epoch seconds) that of the
    clock. Raises FixAddress where the address, the proxy or `tls` cannot be used.
    """

    def __init__(
        self,
        api_key: ApiKey,
        *,
        base_url: str = BASE_URL,
        timeout: float = 30.0,
        proxy: str | None = None,
        tls: ssl.SSLContext | None = None,
        transport: httpx.BaseTransport | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        try:
            self._meisa = HttpMeisa(
                base_url,
                api_key,
                timeout=timeout,
                monotonic=monotonic,
                now=now,
                transport=transport,
                proxy=proxy,
                tls=tls,
            )
        except SettingsError as error:
            # The settings' own words, where they name the variable, in those of this signature.
            message = error.message.replace("MEISA_BASE_URL", "base_url")
            raise FixAddress(message, hint=error.hint) from None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._meisa!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; calls under way on other threads end without an answer."""
        self._meisa.close()

    def _ask(
        self,
        model: type[Read],
        endpoint: Endpoint,
        sent: Body | None = None,
        *,
        contact_id: str = "",
        query: Mapping[str, str] | None = None,
    ) -> Read:
        """Send one request and return what its answer holds. Raises MeisaError."""
        answer = self._send(endpoint, sent, contact_id=contact_id, query=query)
        return read(model, endpoint, answer, repeatable=endpoint.repeatable)

    def _send(
        self,
        endpoint: Endpoint,
        sent: Body | None = None,
        *,
        contact_id: str = "",
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request and return what came of it; raises FixKey and FixRequest alone."""
        try:
            return self._meisa.send(endpoint, sent, contact_id=contact_id, query=query)
        except SettingsError as error:
            raise FixKey(error.message, hint=KEYS) from None
        except InvalidValue as error:
            raise FixRequest(f"{error.message}.", hint=bodies.UNSENT) from None
