"""Results that scripts get: the documents that `--json` prints, which make tables and pictures of themselves."""

from __future__ import annotations

from abc import abstractmethod
from itertools import cycle
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


class Studies(Result):
    """What `run_study` found."""

    def to_frame(self) -> DataFrame:
        """A row for each reference and found point of each study: its values, PSNR over fresh seeds, regret, dB."""
        import pandas

        rows = []
        for summary in self["studies"]:
            entries = [(name, entry["kind"], entry) for name, entry in summary["references"].items()]
            entries += [("found", "found", summary["best"])] if summary["best"] else []
            for name, kind, entry in entries:
                low, high = entry.get("ci95_db") or (None, None)
                rows.append(
                    {
                        "study": summary["study"],
                        "signal": summary["signal"],
                        "name": name,
                        "kind": kind,
                        "psnr_db": entry["psnr_db"],
                        "held_psnr_db": entry.get("held_psnr_db"),
                        **{key: (entry["confirmed"] or {}).get(key) for key in ("mean_psnr_db", "sd_db", "seeds")},
                        "regret_db": entry.get("regret_db"),
                        "ci95_low_db": low,
                        "ci95_high_db": high,
                        **entry["params"],
                    }
                )
        return pandas.DataFrame(rows)

    def plot(self) -> Figure:
        """Regret of every prediction, signal by signal, with its interval over seeds."""
        from search.regrets import draw_regrets

        summaries = {summary["study"].partition("/")[2]: summary for summary in self["studies"]}
        kinds = {name: entry["kind"] for summary in summaries.values() for name, entry in summary["references"].items()}
        predictions = [name for name, kind in kinds.items() if kind == "prediction"]
        return draw_regrets(summaries, predictions, title="regret by signal")


class Predictions(Result):
    """What `predict` says."""

    def to_frame(self) -> DataFrame:
        """A row for each heuristic of each signal: the values that it names."""
        import pandas

        return pandas.DataFrame(
            {"signal": entry["signal"], "centroid": entry["centroid"], "heuristic": name, **point}
            for entry in self["signals"]
            for name, point in entry["predictions"].items()
        )

    def plot(self) -> Figure:
        """The first value that each heuristic names, by the signals' centroids."""
        from matplotlib.figure import Figure

        from search.plots import MARKERS

        figure = Figure(figsize=(6.5, 4.2), layout="constrained")
        axes = figure.subplots()
        frame = self.to_frame()
        parameter = next(name for name in frame.columns if name not in ("signal", "centroid", "heuristic"))
        for marker, (name, group) in zip(cycle(MARKERS), frame.groupby("heuristic", sort=False), strict=False):
            axes.scatter(group["centroid"], group[parameter], marker=marker, s=60, edgecolors="black", label=name)
        axes.set(xlabel="spectral centroid psi (Nyquist = 1)", ylabel=parameter, yscale="log")
        axes.grid(alpha=0.25)
        axes.legend(fontsize=8, frameon=False)
        return figure
