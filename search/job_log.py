"""What a job says, taken apart: lines for a person, its document, and its last error."""

from __future__ import annotations

import json
import re
from typing import Any

from search.errors import first_line

PREAMBLE = re.compile(r"Running entrypoint for job |\S+ \S+\s+INFO job_manager\.py:")
"""How Ray begins a job's log: with what it sets up, and the command that it runs."""


class JobLog:
    """A job's log as it comes, in pieces of any size.

    Attributes:
        document: that it printed; None as long as there is none.
        last_line: that says something, or its line `error: ...` where it has one.
    """

    def __init__(self) -> None:
        self.document: dict[str, Any] | None = None
        self.last_line = ""
        self._rest = ""
        self._open: list[str] | None = None

    def feed(self, text: str) -> list[str]:
        """The lines that came to an end and are for a person, that is, all but the document's."""
        *lines, self._rest = (self._rest + text).split("\n")
        return [shown for line in lines for shown in self._take(line)]

    def end(self) -> list[str]:
        """No more comes: what is left."""
        shown = self._take(self._rest) if self._rest else []
        self._rest = ""
        opened, self._open = self._open or [], None
        return shown + opened

    def _take(self, line: str) -> list[str]:
        if self._open is None:
            return self._begin(line)
        if line != "}" and not line.startswith(" "):  # no document, which is indented
            opened, self._open = self._open, None
            return [*opened, *self._begin(line)]
        self._open.append(line)
        if line != "}":
            return []
        opened, self._open = self._open, None
        try:
            self.document = json.loads("\n".join(opened))
        except ValueError as error:
            self.last_line = f"its document cannot be read: {first_line(error)}"
            return opened
        return []

    def _begin(self, line: str) -> list[str]:
        if line == "{":
            self._open = [line]
            return []
        if PREAMBLE.match(line):
            return []
        is_error = line.startswith("error: ")
        if is_error or (line.strip() and not self.last_line.startswith("error: ")):
            self.last_line = line.strip()
        return [line]
