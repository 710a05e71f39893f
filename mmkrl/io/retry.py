"""How long to try, and what to say in the end, when S3 fails.

Faults of the network and of a busy server are repeated with growing, random pauses. Refusals
(wrong credentials, no such bucket, no such object) are not: they would be the same again.

obstore has retries of its own, but for requests that get no answer or a bad one: an answer that
breaks off or trickles in, or a list that breaks between its pages, it gives up at once (with its
retries alone, 10 of the 35 tests under faults fail). So all but the parts of an upload, which it
sends itself, are repeated here.
"""

from __future__ import annotations

import functools
import logging
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import tenacity
from obstore.exceptions import (
    BaseError,
    GenericError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from mmkrl.errors import UnavailableError, UserError

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

_PASSING = {408, 429}  # statuses worth another attempt, besides all of 5xx
_PASSING_CODES = {"RequestTimeout", "ExpiredToken"}  # S3 says these with status 400
_STATUS = re.compile(r"status code: (\d{3}) ?([^:\n]*):?(?:.*?<Code>(\w+)</Code>)?", re.DOTALL)
_RETRIES = re.compile(r"after (\d+) retries")
_KIND = re.compile(r"HttpError \{\s*kind: (\w+)")
_REASON = re.compile(r'(?:message|error): "([^"]+)"')
_KINDS = {
    "Connect": "cannot connect",
    "Timeout": "timed out",
    "Request": "the connection broke",
    "Interrupted": "the connection broke",
    "Decode": "the connection broke",
}


@dataclass(frozen=True)
class Patience:
    """Limits, in seconds.

    Attributes:
        request_s: Of one request with its body, which is at most 8 MiB.
        operation_s: After this, an operation begins no further attempt.
    """

    request_s: float
    operation_s: float


@functools.cache
def patience() -> Patience:
    """The limits that the environment sets, or the defaults.

    Raises:
        UserError: a variable is no number of seconds.
    """
    return Patience(_seconds("MMKRL_S3_REQUEST_S", "30"), _seconds("MMKRL_S3_PATIENCE_S", "120"))


def _seconds(name: str, default: str) -> float:
    text = os.environ.get(name, default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86_400:
        raise UserError(f"environment variable {name} = {text!r}: expected seconds above 0")
    return seconds


def retry(name: str, operation: Callable[[], Result], limit_s: float | None = None) -> Result:
    """The operation's result, after as many attempts as it needs and patience allows.

    Args:
        name: What it works on, as the user knows it.
        operation: Does the same when it is repeated.
        limit_s: Patience, if not the usual one.

    Raises:
        FileNotFoundError: there is no such object or bucket.
        UnavailableError: patience has ended.
        UserError: S3 refuses.
    """
    started = time.monotonic()
    attempts = 0

    def attempt() -> Result:
        nonlocal attempts
        try:
            return operation()
        except (BaseError, ConnectionError) as error:
            # obstore's own attempts are told in its message only; the user is told the sum.
            retries = _RETRIES.search(_told(error))
            attempts += 1 + (int(retries[1]) if retries else 0)
            raise

    retrying = tenacity.Retrying(
        stop=tenacity.stop_before_delay(limit_s or patience().operation_s),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=5),
        retry=tenacity.retry_if_exception(_passes),
        before_sleep=lambda state: logger.info("%s: %s; again", name, _cause(_failure(state))),
        reraise=True,
    )
    try:
        return retrying(attempt)
    except (BaseError, ConnectionError, ValueError) as error:
        if not _passes(error):
            raise _refusal(name, error) from error
        seconds = time.monotonic() - started
        raise UnavailableError(
            f"{name}: {_cause(error)} after {attempts} attempt{'s' * (attempts != 1)} "
            f"over {seconds:.0f} s; run the job again, it continues"
        ) from error


def status(error: BaseException) -> int | None:
    """The HTTP status that an error of obstore tells; None if there was no answer."""
    found = _STATUS.search(_told(error))
    return int(found[1]) if found else None


def _failure(state: tenacity.RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome else None
    assert error is not None
    return error


def _told(error: BaseException) -> str:
    """What an error says, without obstore's dump of its parts."""
    return str(error).partition("\n\nDebug source:")[0]


def _code(error: BaseException) -> str:
    """S3's code of a refusal, empty if it gave none."""
    found = _STATUS.search(_told(error))
    return (found[3] if found else None) or ""


def _passes(error: BaseException) -> bool:
    """Whether another attempt may succeed."""
    if isinstance(error, UnauthenticatedError):  # S3 says 403; this one is boto3 without an answer
        return "credential provider" in str(error)
    if not isinstance(error, GenericError):
        return isinstance(error, ConnectionError)
    number = status(error)
    return number is None or number >= 500 or number in _PASSING or _code(error) in _PASSING_CODES


def _cause(error: BaseException) -> str:
    """What went wrong, in a few words."""
    answer = _STATUS.search(_told(error))
    if answer:
        return f"{answer[1]} {answer[3] or answer[2]}".strip()
    kind, reasons = _KIND.search(str(error)), _REASON.findall(str(error))
    if kind:
        return ": ".join([_KINDS.get(kind[1], kind[1]), *reasons[-1:]])
    return " ".join(_told(error).split())[:200]


def _refusal(name: str, error: BaseException) -> UserError:
    number = status(error)
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or number in {401, 403}:
        reason = f" ({_code(error)})" if _code(error) else ""
        return UserError(f"{name}: access denied{reason}: check the credentials and their rights")
    if isinstance(error, PreconditionError):
        return UserError(f"{name}: changed while it was read; run the job again")
    if number == 404:
        return UserError(f"{name}: no such bucket")
    return UserError(f"{name}: {_cause(error)}")
