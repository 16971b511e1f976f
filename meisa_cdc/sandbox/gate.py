"""Who may come in: API keys, their scopes and their request limits."""

from collections.abc import Iterable

from meisa_cdc.sandbox.errors import Refusal
from meisa_cdc.sandbox.journal import RequestRecord
from meisa_cdc.sandbox.limits import RateLimits
from meisa_cdc.sandbox.options import ApiKey, SandboxOptions


class Gate:
    """The keys of one account; each has its own count of requests."""

    def __init__(self, options: SandboxOptions) -> None:
        self._keys = {key.secret: key for key in options.keys}
        self._limits = {
            key.secret: RateLimits(options.limits, options.kinds) for key in options.keys
        }

    def identify(self, secret: str | None) -> ApiKey:
        """The key with that secret. Raises Refusal (401)."""
        if secret is None:
            raise Refusal(401, "The X-API-Key header is missing.")
        if secret not in self._keys:
            raise Refusal(401, "The API key is not valid.")
        return self._keys[secret]

    def admit(self, key: ApiKey, now: float) -> None:
        """Count a request of that key. Raises Refusal (429) with Retry-After in seconds."""
        wait = self._limits[key.secret].admit(now)
        if wait is not None:
            raise Refusal(
                429,
                f"The rate limit of this key is exceeded; try again in {wait} seconds.",
                headers={"retry-after": str(wait)},
            )

    def recall(self, requests: Iterable[RequestRecord]) -> None:
        """Count requests that were admitted before a restart, oldest first."""
        limits: dict[str, list[RateLimits]] = {}
        for secret, key in self._keys.items():
            limits.setdefault(key.name, []).append(self._limits[secret])
        for request in requests:
            if request.admitted and request.key_name is not None:
                for each in limits.get(request.key_name, ()):
                    each.recall(request.at)


def require_scope(key: ApiKey, scope: str | None) -> None:
    """Nothing if the key has the scope or none is needed. Raises Refusal (403) naming it."""
    if scope is not None and scope not in key.scopes:
        raise Refusal(403, f"This key lacks the scope {scope}.", required_scope=scope)
