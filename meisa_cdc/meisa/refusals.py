"""What Meisa's refusals mean to the person who runs the program."""

from meisa_cdc.core.errors import Stop

HINTS = {
    401: "The API key is wrong or was revoked; make one under Settings → API Keys in Meisa.",
    403: "The API key lacks a scope; add it under Settings → API Keys in Meisa.",
    404: "MEISA_BASE_URL should end with the API's version, as in …/api/v1.",
}
REDIRECTED = "Redirects are not followed, they would hand the key on; correct MEISA_BASE_URL."


class MeisaRefused(Stop):
    """The key or the address is wrong; nothing will be accepted until somebody corrects it."""

    def __init__(self, message: str, *, status: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


def hint_for(status: int) -> str:
    """Return what to do about a refusal, as far as its status tells."""
    if 300 <= status < 400:  # noqa: PLR2004 - redirects
        return REDIRECTED
    return HINTS.get(status, "")
