"""The errors that a command turns into one line and an exit code."""

from __future__ import annotations

import re
from collections.abc import Sequence


class UsageError(ValueError):
    """Wrong use or bad input (exit code 2): the message says the rule, then what came."""


class SpecError(UsageError):
    """A specification that breaks a rule."""


class StudyError(UsageError):
    """A study that is not there, or that holds another experiment."""


class InputError(UsageError):
    """One or more signals that cannot be used; each has its line."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = list(lines)


class WorldError(RuntimeError):
    """The world failed (exit code 1)."""


class StorageError(WorldError):
    """The store cannot be opened, written, or had for oneself."""


class WorkersError(WorldError):
    """No cluster at the address, or it never gives what was asked."""


class DriverError(WorldError):
    """The same exception of our own came back too often."""


class NothingFoundError(WorldError):
    """Every trial failed."""


class ServerError(WorldError):
    """A server cannot start, or ended by itself."""


class TrackingError(WorldError):
    """MLflow cannot be reached or written."""


class Interrupted(Exception):  # noqa: N818 (not an error: the user asked for it)
    """The user stopped the run; what is unfinished resumes."""


def first_line(error: BaseException) -> str:
    """What an exception of a library says, in one line and without the credentials of the addresses in it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return redact(lines[0])


def one_line(message: str) -> str:
    """`message` as one line that a terminal takes for text: no credentials, line ends or control characters.

    File names may hold any character, also those that clear a screen or fake a line.
    """
    line = " ".join(redact(message).split())
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in line)


_USER = re.compile(r"(?<=:/)(?!/)\S*@|(?<=://)(?!/)\S*@|(?<=//)[^\s/@]*:\S*@")  # a path has one slash of two
_QUERY = re.compile(r"(://[^\s?]*)\?[^\s'\")]+")
_SECRET = re.compile(
    r"(\w*(?:password|passwd|pwd|passphrase|token|secret|api_?key|access_?key|signature|credential)\w*"
    r"(?:\s?=\s?|['\"]\s?[:=]\s?)['\"]?)(?!\*\*\*)[^\s'\"&,;)}]+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[\w\-.~+/]{8,}=*")


def redact(text: str) -> str:
    """`text` with what may be credentials as `***`, for all that is logged, stored or shown.

    These are `user:password@` and the query of an address, `password=...`, `token=...` and their like wherever they
    stand, and HTTP's `Bearer ...`. What has been redacted stays as it is.
    """
    text = _QUERY.sub(r"\1?***", _USER.sub("***@", text))
    return _BEARER.sub(r"\1 ***", _SECRET.sub(r"\1***", text))
