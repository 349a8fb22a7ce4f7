"""What a report says of one study: plain data for its template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from search.errors import one_line
from search.figures import Figure, embed_pictures, embed_sounds
from search.limits import limits_of
from search.pictures import Pictures
from search.storage import StudyStorage
from search.table import Row, columns_of, legend_of, rows_of, sentence_of
from search.trial import spell
from search.view import SHOWN


@dataclass(frozen=True, kw_only=True)
class Section:
    """One study.

    Attributes:
        name: in full.
        state: searching, confirming or done.
        signal: where it is from.
        summary: as `summarise` gives it.
        sentence: the answer.
        asked: what was asked, name and value.
        columns, rows: the table of references and found point.
        legend: what its rows are.
        front: points of the front, where there are two objectives.
        pictures, sounds: of fits, space and reconstruction.
        limits: what is not shown.
    """

    name: str
    state: str
    signal: str
    summary: Mapping[str, Any]
    sentence: str
    asked: Sequence[tuple[str, str]]
    columns: Sequence[str]
    rows: Sequence[Row]
    legend: str
    front: Sequence[Mapping[str, str]]
    pictures: Sequence[Figure]
    sounds: Sequence[Figure]
    limits: Sequence[str]

    @property
    def anchor(self) -> str:
        """Of its place in the page: names of studies are letters, digits and `._-`, with a slash."""
        return self.name.replace("/", "-")


def section_of(storage: StudyStorage, folder: Path, status: Mapping[str, Any], pictures: Pictures) -> Section:
    """A study as it stands.

    Args:
        storage: of the study.
        folder: of the study: its sounds, and its pictures where it is done.
        status: as `status_of` gives it.
        pictures: that it has.
    """
    shown, missing = embed_pictures(pictures, folder, is_drawn=status["state"] == "done")
    sounds, silent = embed_sounds(folder)
    rows = rows_of(status)
    return Section(
        name=storage.name,
        state=status["state"],
        signal=one_line(status["signal"]),
        summary=status,
        sentence=_sentence(status),
        asked=_asked(storage, status),
        columns=columns_of(rows),
        rows=rows,
        legend=legend_of(status),
        front=[
            {
                "trial": f"#{point['number']}",
                "point": spell(point["params"]),
                "fitted": f"{point['psnr_db']:.1f}",
                "held out": f"{point['held_psnr_db']:.1f}",
            }
            for point in status.get("front", ())
        ],
        pictures=shown,
        sounds=sounds,
        limits=limits_of(storage, status, {**missing, **silent}),
    )


def _sentence(status: Mapping[str, Any]) -> str:
    is_early = status["state"] == "searching" and status["best"] is None
    return "no trial is complete yet" if is_early else sentence_of(status)


def _asked(storage: StudyStorage, status: Mapping[str, Any]) -> list[tuple[str, str]]:
    fingerprint = storage.facts("fingerprint")
    shown = storage.facts(SHOWN) or {"params": {}, "tags": {}}
    params, tags, asked, walls = shown["params"], shown["tags"], status["asked"], status["wall_seconds"]
    trials = ", ".join(f"{count} {state}" for state, count in status["trials"].items() if count)
    pruner = "rungs at " + ", ".join(str(rung) for rung in fingerprint["rungs"]) if fingerprint.get("rungs") else "none"
    budget = fingerprint.get("max_weights")
    network = f"width {asked['width']}, depth {asked['depth']}" if budget is None else f"at most {budget:,} weights"
    nyquist = f"{float(params['nyquist_rad']):.0f} rad per coordinate unit" if "nyquist_rad" in params else None
    facts = {
        "signal": one_line(status["signal"]),
        "kind": params.get("kind"),
        "samples": params.get("shape"),
        "sample rate": f"{float(params['rate_hz']):g} Hz" if "rate_hz" in params else None,
        "spectral centroid ψ": f"{float(params['centroid']):.4f}" if "centroid" in params else None,
        "Nyquist frequency": nyquist,
        "task": asked["task"],
        "objective": status["objective"],
        "space": status["space"],
        "network": network,
        "steps of a fit": f"{asked['steps']:,}",
        "trials": f"{sum(status['trials'].values())} of {status['budget']} ({trials or 'none'})",
        "pruning": pruner,
        "fresh seeds": str(storage.facts("confirm") or 0),
        "study seed": str(asked["seed"]),
        "steps of the search": f"{status['steps']:,}",
        "wall time": str(timedelta(seconds=round(sum(walls.values())))) if walls else None,
        "time inside fits, all workers": str(timedelta(seconds=round(status["fit_seconds"]))),
        "begun": storage.facts("created"),
        "winnow": " ".join(tags[key] for key in ("winnow.version", "mlflow.source.git.commit") if key in tags) or None,
    }
    return [(name, str(value)) for name, value in facts.items() if value is not None]
