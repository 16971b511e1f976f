"""Meisa's answers as the documents show them; what they leave open has a default."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from meisa_cdc.ports import Ping


class _Answer(BaseModel):
    # Unknown members are Meisa's future, a number as text is its past: neither is our business.
    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, body: Any) -> Any:
        if isinstance(body, dict):
            return {name: value for name, value in body.items() if value is not None}
        return body


def _positive(value: Any) -> Any:
    """Take a limit of nothing, or less, as one that was not told."""
    return None if isinstance(value, int) and value < 1 else value


Limit = Annotated[int | None, BeforeValidator(_positive)]


class PingedKey(_Answer):
    """The key, as /ping/ describes it."""

    environment: str = ""
    scopes: Sequence[str] = ()
    rate_limit_per_minute: Limit = None
    rate_limit_per_hour: Limit = None


class PingedProduct(_Answer):
    """The product that the key belongs to."""

    id: str = ""
    name: str = ""


class PingAnswer(_Answer):
    """The body of /ping/."""

    api_key: PingedKey
    product: PingedProduct = PingedProduct()

    def ping(self) -> Ping:
        """Return it in the words of the use cases."""
        return Ping(
            product=self.product.id,
            product_name=self.product.name,
            environment=self.api_key.environment,
            scopes=tuple(self.api_key.scopes),
            per_minute=self.api_key.rate_limit_per_minute,
            per_hour=self.api_key.rate_limit_per_hour,
        )
