"""Descriptions in MLflow, Markdown: of a study's run and of the campaign's experiment."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from search.answer import (
    ANSWER_TAGS,
    FOUND,
    FRESH_SEEDS,
    OVER_PREDICTION,
    best_score,
    closest,
    is_told_apart,
    spell_interval,
    spell_regret,
)
from search.errors import one_line
from search.folder import CONVERGENCE, LANDSCAPE, LISTEN, PREVIEW, REPORT, SOUNDS, VIEWS, WAVEFORM
from search.preset_views import STUDIES, TRIALS
from search.references import reference_key
from search.stats import mean_interval
from search.table import columns_of, legend_of, rows_of
from search.ui_links import artifact_link, model_link, picture_link, run_link, view_link

if TYPE_CHECKING:
    from search.view import StudyView

NOTE = "mlflow.note.content"
"""MLflow's tag of a description."""

RUN_LIMIT, EXPERIMENT_LIMIT, OLD_EXPERIMENT_LIMIT = 7900, 19_500, 4900
"""Characters: MLflow holds 8,000 of a run's tag and 20,000 of an experiment's, of which older servers take 5,000."""

SIZES = {"space": "space", "num_samples": "samples", "width": "width", "steps": "steps"}
"""Parameters that tell studies of a campaign apart, and what a person calls them."""

FEW = 3
"""Studies that the experiment's first line, all that MLflow shows unasked, names one by one."""

LOOKED_AT = {
    REPORT: "report",
    LANDSCAPE: "landscape",
    CONVERGENCE: "convergence",
    WAVEFORM: "waveform",
    LISTEN: "listen: target, then reconstruction",
    SOUNDS[1]: "target",
    SOUNDS[0]: "reconstruction",
    VIEWS[1]: "target",
    VIEWS[0]: "reconstruction",
}
"""Artifacts that a study's description leads to."""

CAPTION = (
    "PSNR of a fit's best step, dB. 1 seed: of the search; fresh seeds: mean ± standard deviation; found better by: "
    "mean difference of the same seeds, with its 95 % interval."
)

CHILD_NOTE = (
    "`psnr_db` is of the fit's best step, `best_step`; `curve_psnr_db` is of all steps that were measured. "
    "[The study]({study}) says which point was found."
)
"""Description of a trial or reference."""


@dataclass(frozen=True, kw_only=True)
class ShownStudy:
    """A study as its run in MLflow shows it.

    Attributes:
        title: name of the run.
        run: its id.
        params, tags, metrics: the run's.
    """

    title: str
    run: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]


def study_note(
    view: StudyView,
    experiment: str,
    parent: str,
    runs: Mapping[str, str],
    *,
    artifacts: Collection[str] = (),
    model: str | None = None,
    trials: str = TRIALS,
) -> str:
    """A study's description: the answer, what was asked, where to look, the table, and the landscape.

    Args:
        view: of the study.
        experiment, parent: ids of the experiment and of the study's run.
        runs: ids of its child runs, by key.
        artifacts: names of what the run has, though the study's folder may not have it any more.
        model: id of the winner's.
        trials: view that lists its trials.
    """
    summary = view.summary
    names = {*artifacts, *(path.name for path in view.ending.files)} if view.ending else set()
    looked_at = [
        f"[{what}]({artifact_link(experiment, parent, name)})" for name, what in LOOKED_AT.items() if name in names
    ]
    if model:
        looked_at.append(f"[model]({model_link(experiment, model)})")
    looked_at.append(f"[trials, the best first]({view_link(experiment, trials)})")
    lines = [*_answer(view, "Look at: " + " · ".join(looked_at)), "", "Asked: " + escape(_asked(view)), ""]
    rows = rows_of(summary)
    if rows:
        lines += _table(columns_of(rows), [_linked(row, summary, experiment, runs) for row in rows])
        lines += ["", f"{CAPTION} {escape(legend_of(summary))}", ""]
    picture = next((name for name in (PREVIEW, LANDSCAPE) if name in names), None)
    if picture:
        lines.append(f"![Every trial in the plane that was searched]({picture_link(parent, picture)})")
    return _within(lines, RUN_LIMIT)


def campaign_note(studies: Sequence[ShownStudy], experiment: str, limit: int = EXPERIMENT_LIMIT) -> str:
    """An experiment's description: which point won for each signal and by how much, with links to the studies.

    Args:
        studies: of the campaign, at least one.
        experiment: its id.
        limit: of its characters.
    """
    links = [
        f"[studies]({view_link(experiment, STUDIES)})",
        f"[all trials, the best first]({view_link(experiment, TRIALS)})",
        f"[charts of the trials]({view_link(experiment, TRIALS, charts=True)})",
    ]
    differing = [name for name in SIZES if len({study.params.get(name) for study in studies}) > 1]
    heads = ["study", *(SIZES[name] for name in differing), "found", "better than prediction", "fresh seeds"]
    heads.append("better than baseline")
    rows = [
        [
            f"[{escape(study.title)}]({run_link(experiment, study.run)})",
            *(escape(study.params.get(name, "")) for name in differing),
            *(escape(study.tags.get(tag, "")) for tag in ANSWER_TAGS),
        ]
        for study in studies
    ]
    first = studies[0].params
    alike = [f"{what} {escape(first[name])}" for name, what in SIZES.items() if name in first and name not in differing]
    lines = [_campaign_answer(studies), "", "Views: " + " · ".join(links), "", *_table(heads, rows), ""]
    lines.append("Better: mean difference of PSNR over the same fresh seeds, with its 95 % interval.")
    lines += [f"All: {', '.join(alike)}."] if alike and len(studies) > 1 else []
    return _within(lines, limit)


_MARKUP = re.compile(
    r"[&<>|\\`*\[\]~@]"
    r"|(?<!\w)_|_(?!\w)"  # within a word it is none
    r"|(?<=www)\."  # an address
    r"|:(?=[\w+-]+:)"  # a picture's name
)


def escape(text: str) -> str:
    """`text` within a line of Markdown, as MLflow shows it: file names and users' names may hold any character."""

    def shown(found: re.Match[str]) -> str:
        return f"\\{found[0]}" if found[0] in "\\`*[]" else f"&#{ord(found[0])};"

    return _MARKUP.sub(shown, one_line(text))


def _answer(view: StudyView, links: str) -> list[str]:
    """Short lines: MLflow cuts long ones, and folds what is below the first few, where links take no clicks."""
    summary, best, lines = view.summary, view.summary["best"], []
    if view.ending is None:
        num_ended = sum(summary["trials"].values())
        lines.append(f"{num_ended} of {view.budget} trials ended" + ("; so far:" if best else ", none is complete yet"))
    if best is None:
        return [links, *lines]
    score = view.answer.get(FRESH_SEEDS) or f"{best_score(summary):.1f} dB on the search's seed"
    lines += [f"**{escape(view.answer[FOUND])}**: {score}", links]
    for kind in ("prediction", "baseline"):
        judged = closest(summary, kind)
        if judged:
            name, reference = judged
            gain = f"**{escape(spell_regret(reference))}** over the best {kind} ({escape(name)})"
            lines.append(gain + ("" if is_told_apart(reference) else ", not told from no difference"))
    return lines


def _asked(view: StudyView) -> str:
    params = view.params
    rate = ""
    if {"rate_hz", "num_samples"} <= params.keys():
        rate_hz = float(params["rate_hz"])
        rate = f" at {rate_hz:g} Hz ({int(params['num_samples']) / rate_hz:.2g} s)"
    states = ", ".join(f"{count} {state}" for state, count in view.summary["trials"].items() if count)
    facts = [
        params.get("signal", view.title),
        f"{params['kind']}, {params['shape']} samples{rate}" if {"kind", "shape"} <= params.keys() else None,
        f"space {view.summary['space']}",
        f"width {params['width']}, depth {params['depth']}" if {"width", "depth"} <= params.keys() else None,
        f"{params['steps']} steps" if "steps" in params else None,
        f"objective {view.summary['objective']}",
        f"trials: {states or 'none'}",
    ]
    return " · ".join(fact for fact in facts if fact)


def _linked(row: Mapping[str, str], summary: Mapping[str, Any], experiment: str, runs: Mapping[str, str]) -> list[str]:
    """A row's cells, its name a link to the run that it stands for."""
    name = row[""]
    reference = summary["references"].get(name)
    key = reference_key(name, reference["params"]) if reference else f"search/{summary['best']['number']}"
    run = runs.get(key)
    cells = {column: escape(text) for column, text in row.items()}
    if not reference:
        cells = {column: f"**{text}**" if text else "" for column, text in cells.items()}
    if run:
        cells[""] = f"[{cells['']}]({run_link(experiment, run)})"
    return [cells.get(column, "") for column in columns_of(rows_of(summary))]


def _campaign_answer(studies: Sequence[ShownStudy]) -> str:
    """One line: MLflow folds the rest away."""
    if len(studies) <= FEW:
        return " · ".join(_brief(study) for study in studies)
    judged = [study for study in studies if OVER_PREDICTION in study.tags and "regret_db" in study.metrics]
    if not judged:
        return f"{len(studies)} studies, none of them judged yet"
    better = [study.title for study in judged if study.metrics.get("regret_low_db", 0.0) > 0]
    worse = [study.title for study in judged if study.metrics.get("regret_high_db", 0.0) < 0]
    baseline = [study.metrics["regret_baseline_db"] for study in judged if "regret_baseline_db" in study.metrics]
    against = f" · against the best baseline **{_pooled(baseline)}**" if baseline else ""
    return (
        f"Found points against the best prediction: **{_pooled([study.metrics['regret_db'] for study in judged])}** "
        f"(mean of {len(judged)} studies, 95 % interval); better in {_counted(better)}, worse in {_counted(worse)}, "
        f"not told apart in {len(judged) - len(better) - len(worse)}{against}"
    )


def _pooled(regrets_db: Sequence[float]) -> str:
    return spell_interval(*mean_interval(regrets_db), unit=" dB")


def _counted(titles: Sequence[str]) -> str:
    named = f" ({', '.join(escape(title) for title in titles)})" if 0 < len(titles) <= FEW else ""
    return f"{len(titles)}{named}"


def _brief(study: ShownStudy) -> str:
    title = f"**{escape(study.title)}**"
    if FOUND not in study.tags:
        return f"{title} nothing found yet"
    if OVER_PREDICTION not in study.tags:
        return f"{title} so far {escape(study.tags[FOUND])}"
    gain, _, name = study.tags[OVER_PREDICTION].partition(" (")
    return f"{title} {escape(gain)} over {escape(name.removesuffix(')'))}, {escape(study.tags[FOUND])}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def _within(lines: Sequence[str], limit: int) -> str:
    """As many lines as MLflow holds."""
    text = "\n".join(lines)
    if len(text) <= limit:
        return text
    kept: list[str] = []
    size = 0
    for line in lines:
        size += len(line) + 1
        if size > limit:
            break
        kept.append(line)
    return "\n".join([*kept, "", "(more than MLflow holds: see the list of runs)"])
