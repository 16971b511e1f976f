"""An answer -> what the caller of the typed client gets: a value, or an error to act on."""

from typing import TypeVar

import pydantic

from meisa_cdc.core.outcome import BUSY, TIMED_OUT, Answer, clamp_pause
from meisa_cdc.meisa.answers import told
from meisa_cdc.meisa.endpoints import Endpoint
from meisa_cdc.meisa.errors import (
    FixAddress,
    FixKey,
    FixRequest,
    MaybeDone,
    MeisaError,
    NotFound,
    TryLater,
    Unprocessable,
)
from meisa_cdc.meisa.models import MeisaAnswer
from meisa_cdc.meisa.refusals import hint_for

Read = TypeVar("Read", bound=MeisaAnswer)

#: Seconds to wait after a 429 that names no time: the shorter window is over by then.
WINDOW = 60.0
#: The one success that needs no body.
NO_CONTENT = 204


def succeeded(endpoint: Endpoint, answer: Answer) -> bool:
    """Tell whether Meisa says that it was done; whoever reads wants the thing itself, a 200."""
    status = answer.status
    return status == 200 if endpoint.reads else 200 <= status < 300  # noqa: PLR2004 - success


def read(model: type[Read], endpoint: Endpoint, answer: Answer, *, repeatable: bool) -> Read:
    """Return what a successful answer holds. Raises MeisaError."""
    if not succeeded(endpoint, answer):
        raise failure(endpoint, answer, repeatable=repeatable)
    what = answer.error if answer.status != NO_CONTENT else ""
    if not what:
        try:
            return model.model_validate(answer.body)
        except pydantic.ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            what = f"its {where or 'body'} is not what the documents show"
    raise unreadable(endpoint, answer, what, repeatable=repeatable)


def failure(endpoint: Endpoint, answer: Answer, *, repeatable: bool) -> MeisaError:
    """Return the error that an answer without success amounts to."""
    status, said = answer.status, told(answer)
    if not answer.sent:
        return TryLater(f"Meisa was not reached: {said}.")
    if status == BUSY:
        return TryLater(
            f"Meisa takes no more requests for now: {said}.",
            hint="Wait `retry_after` seconds.",
            status=status,
            retry_after=clamp_pause(answer.retry_after, otherwise=WINDOW),
        )
    if 300 <= status < 500 and status != TIMED_OUT:  # noqa: PLR2004 - certain refusals
        return _refusal(endpoint, answer)
    if 200 <= status < 300:  # noqa: PLR2004 - success, but not the one that was asked for
        return unreadable(endpoint, answer, "the thing itself did not come", repeatable=repeatable)
    what = f"Meisa failed: {said}." if status else f"Meisa did not answer: {said}."
    return _open(endpoint, answer, what, repeatable=repeatable)


def unreadable(endpoint: Endpoint, answer: Answer, what: str, *, repeatable: bool) -> MeisaError:
    """Return the error of a success that does not show what was done."""
    message = f"Meisa's answer (HTTP {answer.status}) is of no use: {what}."
    return _open(endpoint, answer, message, repeatable=repeatable)


def _refusal(endpoint: Endpoint, answer: Answer) -> MeisaError:
    status = answer.status
    message = f"Meisa refuses {endpoint.path}: {told(answer)}."
    if status in {401, 403}:
        needed = f" This call needs {endpoint.scope}." if endpoint.scope and status != 401 else ""  # noqa: PLR2004 - the key is unknown
        return FixKey(message, hint=hint_for(status) + needed, status=status)
    # A 404 that is not Meisa's JSON comes from somebody else's server, or from a wrong path.
    missing = status == 404 and endpoint.may_miss and isinstance(answer.body, dict)  # noqa: PLR2004 - Not Found
    if missing:
        return NotFound(message, hint="What the call names has to exist first.", status=status)
    if status < 400 or status in {404, 405}:  # noqa: PLR2004 - redirects
        hint = hint_for(status).replace("MEISA_BASE_URL", "base_url")
        return FixAddress(message, hint=hint, status=status)
    if status == 422:  # noqa: PLR2004 - Unprocessable
        return Unprocessable(message, status=status)
    return FixRequest(message, status=status)


def _open(endpoint: Endpoint, answer: Answer, message: str, *, repeatable: bool) -> MeisaError:
    """Return the error where no answer tells whether it was done; a read did nothing anyway."""
    pause = answer.retry_after
    if pause is not None:
        pause = clamp_pause(pause, otherwise=0.0)
    if endpoint.reads:
        return TryLater(message, status=answer.status, retry_after=pause)
    hint = (
        "It may have been done; the same call may be made again at once."
        if repeatable
        else "It may have been done; making the same call again may do it twice."
    )
    return MaybeDone(
        message, hint=hint, repeatable=repeatable, status=answer.status, retry_after=pause
    )
