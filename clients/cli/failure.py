"""What went wrong, as a sentence that says what to do, and an exit code."""

import errno
import sys
from typing import Final

import grpc

from clients.control import errors
from clients.control.names import InvalidName
from clients.process.exits import ConfigurationError, Exit
from clients.process.redact import redact


class Failure(Exception):
    """Ends the command with this exit code; `str()` is the sentence, `lines` are details to list below it."""

    def __init__(self, sentence: str, code: Exit = Exit.FAILED, lines: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.code = code
        self.lines = lines


_CODES: Final[tuple[tuple[type[errors.ControlError], Exit], ...]] = (
    (errors.Unavailable, Exit.UNAVAILABLE),
    (errors.ResourceExhausted, Exit.UNAVAILABLE),
    (errors.Unauthenticated, Exit.NO_PERMISSION),
    (errors.PermissionDenied, Exit.NO_PERMISSION),
    (errors.InvalidArgument, Exit.USAGE),
)

# What commands write is on standard output, but for files that they answer for themselves.
_UNWRITTEN: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def explain(error: errors.ControlError, address: str, why: str = "") -> Failure:
    """Say what a call to the control plane at this address ended with; `why` nothing reached it, if known."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), Exit.FAILED)
    if isinstance(error, errors.Unreachable):
        return Failure(why or _unreached(error, address), code)
    lines = tuple(f"{it.field.rpartition('.')[2]}: {it.description}" for it in error.violations)
    if len(lines) == 1:
        return Failure(lines[0], code)
    if lines:
        return Failure("Several values are wrong:", code, lines)
    sentence = str(error)
    if isinstance(error, errors.Unauthenticated):
        sentence = f"{_stopped(sentence)} Set PENSTOCK_TOKEN to a valid token."
    if error.retry_after:
        sentence = f"{_stopped(sentence)} Try again in {error.retry_after:.0f} seconds."
    return Failure(sentence, code)


def of(error: Exception) -> Failure | None:
    """Give the failure that an exception of ours, or a full disk, stands for; None for any other."""
    match error:
        case Failure():
            return error
        case ConfigurationError():
            return Failure(str(error), Exit.CONFIGURATION)
        case InvalidName():
            return Failure(str(error), Exit.USAGE)
        case OSError() if error.errno in _UNWRITTEN:
            return Failure(f"The output cannot be written: {(error.strerror or str(error)).lower()}.")
        case _:
            return None


def report(failure: Failure) -> int:
    """Print the failure on standard error, and give the exit code."""
    print(f"penstock: {_clean(str(failure))}", file=sys.stderr)
    for line in failure.lines:
        print(f"  {_clean(line)}", file=sys.stderr)
    return failure.code


def _unreached(error: errors.ControlError, address: str) -> str:
    if error.code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"The control plane at {address} did not answer in time: try again, or see its log."
    return (
        f"The control plane at {address} cannot be reached: start it with `penstock up`,"
        " or set PENSTOCK_ADDRESS to where its gRPC API is, usually port 8081."
    )


def _stopped(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."


def _clean(text: str) -> str:
    # Sentences may quote an upstream: nothing in them may command the terminal, or be a secret.
    return "".join(c if c.isprintable() else " " for c in redact(text))
