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
    return without_credentials(lines[0])


def without_credentials(text: str) -> str:
    """`text` with `user:password@` and queries, which may hold tokens, taken out of its addresses."""
    return re.sub(r"(://[^\s?]*)\?[^\s'\")]+", r"\1?***", re.sub(r"(?<=://)\S*@", "***@", text))
