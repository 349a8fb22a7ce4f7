"""Validation: what heuristics and scores are worth over several signals, apart for each size of signal and network.

regret:   mean PSNR of the found point minus that of a reference over fresh seeds that chose neither, dB; negative where
          the reference is better
contrast: mean PSNR of one reference minus that of another over the same seeds, dB; what the found point's fits do to
          both regrets is no part of it
setting:  samples, width, depth, steps, task and objective; signals of one setting are judged together
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.errors import StudyError
from search.objective import Objective
from search.result import Result
from search.scoring import score_trials
from search.searched import space_of, spectrum_of
from search.stats import (
    Correlation,
    mean_interval,
    pooled_correlation,
    rank_correlation,
    seed_difference,
    wilcoxon_p,
)
from search.storage import StudyStorage, storage_errors
from search.summary import confirm_values, summarise
from search.trial import State
from spaces.scores import score_named
from spaces.spectrum import Spectrum
from trainers.config import network_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

SETTING = ("width", "depth", "max_weights", "steps", "space", "task", "holdout", "objective")
"""Parts of a fingerprint that, with the number of samples and of the values trained on, make a setting."""


class Validation(Result):
    """What `judge` found: the document of `winnow validate --json`."""

    def to_frame(self) -> DataFrame:
        """A row for each heuristic of each setting and signal; columns as in `per_signal`."""
        import pandas

        rows = [
            {**_named(setting), "heuristic": name, "study": study, **values}
            for setting in self["settings"]
            for name, entry in setting["heuristics"].items()
            for study, values in entry["per_signal"].items()
        ]
        return pandas.DataFrame(rows)

    def to_contrasts_frame(self) -> DataFrame:
        """A row for each two heuristics of each setting: which is better than which, by how much, dB."""
        import pandas

        rows = []
        for setting in self["settings"]:
            for entry in setting["contrasts"]:
                low, high = entry["ci95_db"] or (None, None)
                values = {key: entry[key] for key in ("better", "than", "mean_db")}
                ends = {"ci95_low_db": low, "ci95_high_db": high}
                rows.append({**_named(setting), **values, **ends, "signals": entry["signals"]})
        return pandas.DataFrame(rows)

    def plot(self) -> Figure:
        """Regret of each heuristic in each setting: dots for signals, the mean with its interval."""
        from search.validation_plot import draw_validation

        return draw_validation(self)


@storage_errors()
def judge(
    studies: Sequence[StudyStorage], store: Path, *, scores: Sequence[str], say: Callable[[str], None]
) -> Validation:
    """Regret of every reference and rank correlation of every score over studies that ended, setting by setting.

    Args:
        studies: with confirmed points; of several of one signal and setting, as where a file changed, the latest.
        store: with their folders.
        scores: of `spaces.scores.SCORES`; none need no signals.
        say: called with a line for each study that cannot be judged.

    Returns:
        settings: for each its samples, width and so on, trained_values, weights, regime (over-parameterised where
        there are more of the latter than of the former, else matched), seeds, signals, and

        - heuristics: by name mean_regret_db over signals with ci95_db (paired t over the seeds of a single signal, t
          over signals otherwise) and wilcoxon_p; rate_db, what the best of three learning rates gained over the
          papers' 1e-4 where the heuristic leaves it open, with rate_ci95_db; percentile, the mean share of the
          search's trials that its point beats on their seed; seconds that it takes; per_signal.
        - contrasts: for each two heuristics, mean_db by which the one that is `better` is ahead of the other, `than`,
          never negative: differences paired over the seeds of a signal, their mean over as many `signals` as both
          were fitted to; ci95_db as that of a regret; per_signal, by study, negative where the other is ahead.
        - scores: by name spearman, in the direction that the score promises (1: it ranks the trials of every signal
          as their PSNR does), with ci95; per_signal.
        - search: what the search cost, in the mean over signals: steps of all trials and fit_seconds.

        Where there is one setting, heuristics, contrasts and scores stand beside settings too.

    Raises:
        StudyError: no study can be judged.
        ScoreError: an unknown score.
    """
    for name in scores:
        score_named(name)
    by_setting: dict[tuple[Any, ...], dict[str, StudyStorage]] = {}
    facts: dict[tuple[Any, ...], dict[str, Any]] = {}
    summaries: dict[str, dict[str, Any]] = {}
    for study in studies:
        summary = summarise(study)
        if not summary["best"] or not summary["best"]["confirmed"]:
            say(f"{study.name} is not judged: no point of it is confirmed (its command must run to its end)")
            continue
        summaries[study.name] = summary
        setting = _setting_of(study)
        key = tuple(setting.values())
        facts[key] = setting
        by_signal, signal = by_setting.setdefault(key, {}), summary["signal"]
        earlier, by_signal[signal] = sorted([by_signal.get(signal, study), study], key=_created)
        if earlier is not by_signal[signal]:
            say(f"{earlier.name} is not judged: {by_signal[signal].name} is of the same signal, {signal}, and later")
    if not by_setting:
        raise StudyError("at least one study with confirmed points is needed, but none came")
    settings = [
        {
            **facts[key],
            **_over_signals([_judge_one(one, summaries[one.name], store, scores, say) for one in by_signal.values()]),
        }
        for key, by_signal in by_setting.items()
    ]
    alone = {name: settings[0][name] for name in ("heuristics", "contrasts", "scores")} if len(settings) == 1 else {}
    return Validation(settings=settings, **alone)


def _created(study: StudyStorage) -> str:
    return str(study.facts("created"))


def _setting_of(study: StudyStorage) -> dict[str, Any]:
    fingerprint, spectrum = study.facts("fingerprint"), spectrum_of(study.facts("spectrum"))
    space = space_of(study)
    shape = {"dims": spectrum.dims, "channels": spectrum.channels}
    network = network_of(space, space.complete({}), width=fingerprint["width"], depth=fingerprint["depth"], **shape)
    trained = trained_values(fingerprint, spectrum)
    return {
        "samples": spectrum.num_samples,
        **{key: fingerprint.get(key) for key in SETTING},
        "trained_values": trained,
        "weights": network.num_weights,
        "regime": "over-parameterised" if network.num_weights > trained else "matched",
    }


def trained_values(fingerprint: Mapping[str, Any], spectrum: Spectrum) -> int:
    """Numbers that a study's networks are fitted to: trained samples times channels; nearly, where boxes are held out.

    Args:
        fingerprint: of the study.
        spectrum: of its signal.
    """
    trained = spectrum.num_samples
    if fingerprint["task"] == "upsample":
        trained = math.prod(math.ceil(size / fingerprint["factor"]) for size in spectrum.shape)
    elif fingerprint["task"] in ("holdout", "inpaint"):
        trained -= round(fingerprint["holdout"] * trained)
    return trained * spectrum.channels


def _judge_one(
    study: StudyStorage,
    summary: Mapping[str, Any],
    store: Path,
    scores: Sequence[str],
    say: Callable[[str], None],
) -> dict[str, Any]:
    trials = [record for record in study.trials() if record.state is State.COMPLETE]
    objective = study.objective
    psnr_db = [objective.score_db(record) for record in trials]
    finite = [value for value in psnr_db if value is not None]
    heuristics = {
        name: {
            **{key: entry[key] for key in ("regret_db", "ci95_db", "rate_db", "rate_ci95_db", "seconds")},
            "lr": entry["params"]["lr"],
            "percentile": _percentile(_score(entry, objective), finite),
        }
        for name, entry in summary["references"].items()
        if entry["regret_db"] is not None
    }
    confirmations = study.confirmations()
    correlations: dict[str, Correlation] = {}
    if scores:
        try:
            values = score_trials(study, store, trials, scores)
        except StudyError as error:
            say(f"scores of {study.name} are left out: {error}")
        else:
            targets = [math.nan if value is None else value for value in psnr_db]
            for name, column in zip(scores, values, strict=True):
                sign = 1.0 if score_named(name).direction == "higher" else -1.0
                if found := rank_correlation([sign * value for value in column], targets):
                    correlations[name] = found
    return {
        "study": study.name,
        "seeds": summary["best"]["confirmed"]["seeds"],
        "heuristics": heuristics,
        "seed_values": {name: confirm_values(study, name, confirmations) for name in heuristics},
        "scores": correlations,
        "steps": summary["steps"],
        "fit_seconds": math.fsum(record.fit_seconds for record in study.trials()),
    }


def _score(entry: Mapping[str, Any], objective: Objective) -> float | None:
    value: float | None = entry["psnr_db"] if objective is Objective.FIT else entry.get("held_psnr_db")
    return value


def _percentile(score_db: float | None, trials_db: Sequence[float]) -> float | None:
    """Share of trials below a score, equal ones by half, 0 to 100."""
    if score_db is None or not trials_db:
        return None
    below = math.fsum(0.5 if value == score_db else float(value < score_db) for value in trials_db)
    return 100.0 * below / len(trials_db)


def _over_signals(judged: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = list(dict.fromkeys(name for one in judged for name in one["heuristics"]))
    scores = list(dict.fromkeys(name for one in judged for name in one["scores"]))
    return {
        "signals": len(judged),
        "seeds": min(one["seeds"] for one in judged),
        "heuristics": {
            name: judge_heuristic(
                {one["study"]: one["heuristics"][name] for one in judged if name in one["heuristics"]}
            )
            for name in names
        },
        "contrasts": judge_contrasts({one["study"]: one["seed_values"] for one in judged}),
        "scores": {
            name: _judge_score({one["study"]: one["scores"][name] for one in judged if name in one["scores"]})
            for name in scores
        },
        "search": {key: math.fsum(one[key] for one in judged) / len(judged) for key in ("steps", "fit_seconds")},
    }


def judge_heuristic(per_signal: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One heuristic over signals: see `judge`.

    Args:
        per_signal: by study its regret_db and rate_db with ci95_db and rate_ci95_db, percentile and seconds.
    """
    regrets = [entry["regret_db"] for entry in per_signal.values()]
    mean, interval = mean_interval(regrets)
    [first, *others] = per_signal.values()
    rates = [entry["rate_db"] for entry in per_signal.values() if entry["rate_db"] is not None]
    rate, rate_interval = mean_interval(rates) if rates else (None, None)
    return {
        "mean_regret_db": mean,
        "ci95_db": first["ci95_db"] if not others else list(interval or ()),
        "wilcoxon_p": wilcoxon_p(regrets),
        "rate_db": rate,
        "rate_ci95_db": first["rate_ci95_db"] if not others else list(rate_interval or ()) or None,
        "percentile": _mean([entry["percentile"] for entry in per_signal.values()]),
        "seconds": _mean([entry["seconds"] for entry in per_signal.values()]),
        "per_signal": dict(per_signal),
    }


def judge_contrasts(per_signal: Mapping[str, Mapping[str, Mapping[int, float]]]) -> list[dict[str, Any]]:
    """Each two heuristics that were fitted to the same seeds of a signal: see `judge`.

    Args:
        per_signal: by study and heuristic, the score on each confirm seed, dB.
    """
    names = dict.fromkeys(name for values in per_signal.values() for name in values)
    contrasts = [_contrast(one, other, per_signal) for one, other in combinations(names, 2)]
    return [contrast for contrast in contrasts if contrast is not None]


def _contrast(
    one: str, other: str, per_signal: Mapping[str, Mapping[str, Mapping[int, float]]]
) -> dict[str, Any] | None:
    means: dict[str, float] = {}
    over_seeds = None
    for study, values in per_signal.items():
        mean, over_seeds_here = seed_difference(values.get(one, {}), values.get(other, {}))
        if mean is not None:
            means[study], over_seeds = mean, over_seeds_here
    if not means:
        return None
    mean, over_signals = mean_interval(list(means.values()))
    if mean < 0:
        return _contrast(other, one, per_signal)
    interval = over_signals if len(means) > 1 else over_seeds
    return {
        "better": one,
        "than": other,
        "mean_db": mean,
        "ci95_db": list(interval) if interval else None,
        "signals": len(means),
        "per_signal": means,
    }


def _judge_score(per_signal: Mapping[str, Correlation]) -> dict[str, Any]:
    pooled = pooled_correlation(list(per_signal.values()))
    return {
        "spearman": pooled.rho,
        "ci95": list(pooled.interval) if pooled.interval else None,
        "per_signal": {
            study: {"spearman": one.rho, "ci95": list(one.interval) if one.interval else None, "trials": one.num}
            for study, one in per_signal.items()
        },
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _named(setting: Mapping[str, Any]) -> dict[str, Any]:
    return {key: setting[key] for key in ("samples", "width", "regime", "objective")}
