"""Calibration: a law from the searched landscapes of a corpus, judged on signals that it has not seen."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search.config import StudySpec
from search.corpus import Size, ended_studies, settings_in_store, settings_of
from search.display import Display
from search.errors import UsageError
from search.law_files import write_law
from search.law_fitting import Form, PowerForm, PublishedForm, bandwidth_form, fit_form, power_form
from search.per_signal import Key, PerSignalLaw
from search.plan import Plan, plan_studies
from search.result import Result
from search.run import run_study
from search.stats import mean_interval
from search.storage import StudyStorage
from search.surfaces import MIN_FITS, Array, Surfaces, surface_of
from search.validation import judge
from search.verdict import keep
from spaces.calibrated import FEATURES, CalibratedLaw, Domain
from spaces.laws import PUBLISHED, WINNER_CONSTANTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

MIN_SIGNALS = 3
"""A law that is judged on the signal left out is fitted to two at least."""

PLAIN = "bandwidth"
"""With the published law, where that knows the kind of signal, the references of the corpus unless some are named: no
law that another calibration fitted to the same signals."""


OURS = ("power", "bandwidth")
"""Forms that are formulas of a `CalibratedLaw`."""


class Calibration(Result):
    """What `calibrate` found: the document of `winnow calibrate --json`."""

    def to_frame(self) -> DataFrame:
        """A row for each landscape: what the law that has not seen its signal loses there, read and confirmed."""
        import pandas

        return pandas.DataFrame([{"study": study, **values} for study, values in self["per_signal"].items()])

    def plot(self) -> Figure:
        """Regret of each form by landscape: read from surrogates, left out and not."""
        from search.calibration_plot import draw_calibration

        return draw_calibration(self)


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """A form with constants.

    Attributes:
        form, theta: of all surfaces.
        signals: of the surfaces.
        seen_db: regret (surfaces,) of these.
        unseen: for each signal the form and constants of the others' surfaces.
        unseen_db: regret (surfaces,) of these.
    """

    form: Form
    theta: Array
    signals: Sequence[str]
    seen_db: Array
    unseen: Mapping[str, tuple[Form, Array]]
    unseen_db: Array

    @property
    def mean_seen_db(self) -> float:
        """Over signals."""
        return math.fsum(_by_signal(self.signals, self.seen_db)) / len(set(self.signals))

    @property
    def mean_unseen_db(self) -> float:
        """Over signals."""
        return math.fsum(_by_signal(self.signals, self.unseen_db)) / len(set(self.signals))


def fit_leaving_out(build: Callable[[Surfaces], Form], surfaces: Surfaces) -> Fitted:
    """A form's constants from all surfaces and, for each signal, from those of the others.

    Args:
        build: makes the form for surfaces: which features it has is chosen without the signal that is left out, too.
        surfaces: of `MIN_SIGNALS` signals or more.
    """
    form = build(surfaces)
    theta = fit_form(form, surfaces)
    unseen: dict[str, tuple[Form, Array]] = {}
    unseen_db = np.zeros(len(surfaces))
    for signal in dict.fromkeys(surfaces.signals):
        own = [index for index, other in enumerate(surfaces.signals) if other == signal]
        rest = surfaces.subset([index for index in range(len(surfaces)) if index not in own])
        left_form = build(rest)
        unseen[signal] = (left_form, fit_form(left_form, rest))
        unseen_db[own] = left_form.regret_db(unseen[signal][1], surfaces.subset(own))
    return Fitted(
        form=form,
        theta=theta,
        signals=surfaces.signals,
        seen_db=form.regret_db(theta, surfaces),
        unseen=unseen,
        unseen_db=unseen_db,
    )


def calibrate(
    spec: StudySpec,
    *,
    out: Path | None = None,
    samples: Sequence[int] = (),
    widths: Sequence[int] = (),
    sizes: Sequence[Size] = (),
    display: Display | None = None,
) -> Calibration:
    """A law of B, s1 and learning rate from the landscapes of `spec`'s signals at every size.

    Each signal is searched at each size, as `validate` does; where `spec` has no signals, the campaigns of its name in
    the store are taken, each with its own. Three forms are fitted to the surfaces: the published one's constants (of
    kinds of signal for which there are some), the bandwidth law's, and powers of at most three features, one for four
    signals. Each is judged by leaving each signal out; of the latter two, the one that loses less is kept. The points
    that it gives for the signals left out are then fitted on the same fresh seeds as the found points.

    Args:
        spec: signals, space siren2, fits, store; `search.confirm` seeds confirm, 8 unless given, and no trial is
            pruned. Its name is the law's, too.
        out: its file; `<store>/laws/<name>.json` unless given.
        samples, widths, sizes: see `corpus.settings_of`.
        display: told of what happens.

    Returns:
        law, formulas, constants; loo_mean_regret_db with its interval over signals, confirmed on fresh seeds;
        published_mean_regret_db, likewise, None for kinds without published constants; forms: by name the mean regrets
        over signals that were read from surrogates, seen and left out, the features of B and lr, and in folds those
        that were chosen without each signal; kept: which of them is the law; surrogate: its cross-validated error;
        per_signal: by study.

    Raises:
        UsageError: fewer than three signals, two confirm seeds or the trials that make a landscape, a pruner, signals
            of several kinds, another space than siren2 in ridge coordinates, or a fixed learning rate.
        InputError, ... as `run_study`, before anything starts.
    """
    display, spec = display or Display(), spec.for_judging()
    _check(spec)
    name = spec.name or f"calibrated-{spec.default_name(f'{datetime.now(UTC):%Y%m%d}')}"
    spec = spec.model_copy(update={"name": name})
    heuristics = spec.search.heuristic
    spec = _with_heuristics(spec, heuristics or (PLAIN,))
    settings = settings_of(spec, samples, widths, sizes) if spec.signals else settings_in_store(spec, name)
    num_signals = len({signal for setting in settings for signal in setting.signals})
    if num_signals < MIN_SIGNALS:
        raise UsageError(f"`{MIN_SIGNALS} <= signals` must hold to leave one out, but got signals={num_signals}")
    plans = [plan for setting in settings for plan in plan_studies(setting)]
    kind, asked = _kind_of(plans), {plan.name for plan in plans}
    is_published = kind in WINNER_CONSTANTS
    if is_published and not heuristics:
        settings = [_with_heuristics(setting, (PUBLISHED, PLAIN)) for setting in settings]
    if not is_published:
        display.say(f"no constants are published for {kind}: that form is left out")
    studies: list[StudyStorage] = []
    for setting in settings:
        run_study(setting, display=display)
        studies += ended_studies(spec, str(setting.name), asked)
    display.say(f"reading {len(studies)} landscapes")
    surfaces = Surfaces([surface_of(study) for study in studies])
    display.say("fitting laws, each signal left out in turn")
    builders: dict[str, Callable[[Surfaces], Form]] = {
        **({"published": lambda surfaces: PublishedForm(kind=kind)} if is_published else {}),
        "bandwidth": bandwidth_form,
        "power": lambda surfaces: power_form(surfaces, FEATURES),
    }
    fitted = {form: fit_leaving_out(build, surfaces) for form, build in builders.items()}
    kept = min(OURS, key=lambda form: fitted[form].mean_unseen_db)
    law = _law_of(name, fitted[kept], surfaces, spec)
    with _unseen_law(f"{name}-left-out", law, fitted[kept], surfaces).known() as unseen:
        for setting in settings:
            run_study(_with_heuristics(setting, (*setting.search.heuristic, unseen)), display=display)
    judged = judge(studies, spec.store.store, scores=(), say=display.say)
    document = _document(law, fitted, kept, surfaces, judged, unseen)
    path = out or spec.store.store / "laws" / f"{name}.json"
    write_law(path, replace(law, facts={**law.facts, **_regret_facts(document)}))
    calibration = Calibration(**document, file=str(path))
    keep(calibration, name, "calibration", spec.store, display.say)
    return calibration


def _check(spec: StudySpec) -> None:
    search = spec.search
    if search.confirm < 2:
        raise UsageError(f"`2 <= seeds` must hold for an interval, but got seeds={search.confirm}")
    if search.trials < MIN_FITS:
        raise UsageError(f"`{MIN_FITS} <= trials` must hold for a landscape, but got trials={search.trials}")
    if search.pruner != "none":
        raise UsageError(f"a landscape is of whole fits, pruner none, but got pruner={search.pruner}")
    if search.space != "siren2" or search.coordinates != "ridge":
        raise UsageError(f"laws are fitted to space siren2, but got space={search.space}")
    if spec.fit.lr is not None:
        raise UsageError(f"a law names the learning rate, which must be searched, but got lr={spec.fit.lr:g}")
    if spec.network.max_weights is not None:
        raise UsageError(f"laws are fitted at given widths, but got max_weights={spec.network.max_weights}")


def _kind_of(plans: Sequence[Plan]) -> str:
    kinds = sorted({plan.spectrum.kind for plan in plans})
    if len(kinds) > 1:
        raise UsageError(f"the signals of a law must be of one kind, but got {', '.join(kinds)}")
    return kinds[0]


def _unseen_law(name: str, law: CalibratedLaw, fitted: Fitted, surfaces: Surfaces) -> PerSignalLaw:
    """For each signal the law that was fitted without it."""
    laws: dict[Key, CalibratedLaw] = {}
    for surface in surfaces.surfaces:
        form, theta = fitted.unseen[surface.signal]
        assert isinstance(form, PowerForm)
        bandwidth, s1, lr = form.formulas(theta, surfaces)
        key = int(surface.features["samples"]), surface.features["psi"]
        laws[key] = replace(law, bandwidth=bandwidth, s1=s1, lr=lr, is_everywhere=True)
    said = {key: " ".join(own.spell()) for key, own in laws.items()}
    return PerSignalLaw(name, "winnow: calibrated without the signal itself", laws, said)


def _with_heuristics(spec: StudySpec, names: tuple[str, ...]) -> StudySpec:
    return spec.model_copy(update={"search": spec.search.model_copy(update={"heuristic": names})})


def _law_of(name: str, fitted: Fitted, surfaces: Surfaces, spec: StudySpec) -> CalibratedLaw:
    assert isinstance(fitted.form, PowerForm)
    bandwidth, s1, lr = fitted.form.formulas(fitted.theta, surfaces)
    ends = {
        key: (int(surfaces.features[key].min()), int(surfaces.features[key].max()))
        for key in ("samples", "width", "steps")
    }
    depths = [surface.depth for surface in surfaces.surfaces]
    loads = surfaces.features["trained_share"] * surfaces.features["samples"] / surfaces.features["width"] ** 2
    domain = Domain(
        kinds=(surfaces.kind,), **ends, depth=(min(depths), max(depths)), load=(float(loads.min()), float(loads.max()))
    )
    signals = sorted(set(surfaces.signals))
    corpus = hashlib.sha256("\n".join(sorted(surface.study for surface in surfaces.surfaces)).encode()).hexdigest()
    sizes = Counter("x".join(f"{each.features[key]:.0f}" for key in ends) for each in surfaces.surfaces)
    return CalibratedLaw(
        name=name,
        source=f"winnow {version('winnow-inr')}: calibrated on {len(signals)} signals, {len(surfaces)} landscapes",
        bandwidth=bandwidth,
        s1=s1,
        lr=lr,
        domain=domain,
        objective="fit" if spec.search.objective == "fit" else "holdout",
        facts={"corpus": {"fingerprint": corpus[:16], "signals": signals, "landscapes_by_size": dict(sizes)}},
    )


def _document(
    law: CalibratedLaw,
    fitted: Mapping[str, Fitted],
    kept: str,
    surfaces: Surfaces,
    judged: Mapping[str, Any],
    unseen: str,
) -> dict[str, Any]:
    confirmed = {
        study: {label: entry["per_signal"].get(study) for label, entry in setting["heuristics"].items()}
        for setting in judged["settings"]
        for study in setting["heuristics"][unseen]["per_signal"]
    }
    regrets_db = {
        label: [_regret(confirmed, surface.study, label) for surface in surfaces.surfaces]
        for label in (unseen, PUBLISHED)
    }
    per_signal = {
        surface.study: {
            "signal": surface.signal,
            **{key: surface.features[key] for key in ("samples", "width", "psi")},
            "regret_db": regrets_db[unseen][index],
            "published_regret_db": regrets_db[PUBLISHED][index],
            "read_db": {form: float(fit.unseen_db[index]) for form, fit in fitted.items()},
            "surrogate_error_db": surface.error_db,
            "surrogate_spread_db": surface.spread_db,
        }
        for index, surface in enumerate(surfaces.surfaces)
    }
    mean, interval = _over_signals(surfaces.signals, regrets_db[unseen])
    published, published_interval = _over_signals(surfaces.signals, regrets_db[PUBLISHED])
    return {
        "law": law.name,
        "formulas": law.spell(),
        "constants": {key: getattr(law, key).__dict__ for key in ("bandwidth", "s1", "lr")},
        "objective": law.objective,
        "loo_mean_regret_db": mean,
        "loo_ci95_db": interval,
        "published_mean_regret_db": published,
        "published_ci95_db": published_interval,
        "kept": kept,
        "forms": {form: _form_entry(fit) for form, fit in fitted.items()},
        "surrogate": {
            "kind": "Gaussian process, Matern 5/2, in (ln B, root s1, ln lr)",
            "error_db": float(np.mean([surface.error_db for surface in surfaces.surfaces])),
            "spread_db": float(np.mean([surface.spread_db for surface in surfaces.surfaces])),
        },
        "per_signal": per_signal,
    }


def _regret(confirmed: Mapping[str, Mapping[str, Any]], study: str, label: str) -> float | None:
    entry = confirmed.get(study, {}).get(label)
    value: float | None = entry["regret_db"] if entry else None
    return value


def _form_entry(fit: Fitted) -> dict[str, Any]:
    features = _features_of(fit.form)
    folds = {signal: _features_of(form) for signal, (form, _) in fit.unseen.items()}
    return {
        "seen_db": fit.mean_seen_db,
        "left_out_db": fit.mean_unseen_db,
        **({"features": features, "folds": folds} if features else {}),
    }


def _features_of(form: Form) -> dict[str, list[str]] | None:
    return {"bandwidth": list(form.bandwidth), "lr": list(form.lr)} if isinstance(form, PowerForm) else None


def _over_signals(
    signals: Sequence[str], regrets_db: Iterable[float | None]
) -> tuple[float | None, list[float] | None]:
    """Mean over signals and its interval."""
    means = _by_signal(signals, regrets_db)
    if not means:
        return None, None
    mean, interval = mean_interval(means)
    return mean, list(interval) if interval else None


def _by_signal(signals: Sequence[str], regrets_db: Iterable[float | None]) -> list[float]:
    """Each signal's mean over its sizes: sizes of one signal are no further signals."""
    by_signal: dict[str, list[float]] = {}
    for signal, regret in zip(signals, regrets_db, strict=True):
        if regret is not None:
            by_signal.setdefault(signal, []).append(float(regret))
    return [math.fsum(values) / len(values) for values in by_signal.values()]


def _regret_facts(document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "regret": {
            key: document[key]
            for key in ("loo_mean_regret_db", "loo_ci95_db", "published_mean_regret_db", "published_ci95_db")
        },
        "surrogate": document["surrogate"],
    }
