"""Results that scripts get: the document that `--json` prints, which makes a table and a picture of itself."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


class Result(dict[str, Any]):
    """A JSON-able document."""

    @abstractmethod
    def to_frame(self) -> DataFrame:
        """The result as a table, a row for each thing that it judges."""

    @abstractmethod
    def plot(self) -> Figure:
        """The result as a picture; `figure.savefig("result.png")` keeps it."""
