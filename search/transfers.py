"""Transfer: does a point that was found on a short crop and few steps hold at full length and budget?

relative: the point's bandwidth over Nyquist is kept: s0 grows with the number of samples
absolute: s0 is kept
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from search.config import StudySpec
from search.confirm import seed_values
from search.corpus import settings_of, studies_of
from search.display import Display
from search.errors import UsageError
from search.heuristics import ALL_LAWS
from search.per_signal import Key, PerSignalLaw, key_of
from search.plan import plan_studies
from search.result import Result
from search.run import run_study
from search.stats import mean_interval, paired_difference
from search.storage import StudyStorage
from search.summary import summarise
from search.trial import Purpose
from search.validation import judge
from search.validation_plot import draw_validation
from search.verdict import keep
from spaces.laws import OwnLaw
from spaces.noise import NoiseScales, noise_bandwidth, scales_on_ridge
from spaces.spectrum import Spectrum
from trainers.signals import read_signal

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

CARRIED = ("relative", "absolute")


class Transfer(Result):
    """What `transfer` found: the document of `winnow transfer --json`."""

    def to_frame(self) -> DataFrame:
        """A row for each signal: what each way of carrying the point loses at the larger size."""
        import pandas

        rows = [
            {"study": study, "carried": way, **entry}
            for way in CARRIED
            for study, entry in self["carried"][way]["per_signal"].items()
        ]
        return pandas.DataFrame(rows)

    def plot(self) -> Figure:
        """Regret at the larger size, of the carried points beside the laws'."""
        return draw_validation({"settings": [self["there"]]})


def transfer(
    spec: StudySpec, *, times: int = 4, trials_there: int | None = None, display: Display | None = None
) -> Transfer:
    """Search every signal at its size, and judge the found points at `times` the samples and steps.

    Args:
        spec: what is searched first; `signal.samples` must be given, space siren2. Seeds and pruner as of `validate`.
        times: by how much samples and steps grow.
        trials_there: of the search at the larger size, against which the loss is measured; as many as at the small
            one unless given.
        display: told of what happens.

    Returns:
        here, there: sizes and, there, what `judge` says of every heuristic; carried: by way (relative, absolute) its
        mean_regret_db against the point that the search there found, with ci95_db and per_signal;
        relative_minus_absolute_db with its interval over signals, on paired fresh seeds; cost_ratio: fit seconds of
        the search there over those here.

    Raises:
        UsageError: no number of samples, another space than siren2, or fewer than two confirm seeds.
        InputError, ... as `run_study`: a signal that is not `times` as long, too.
    """
    display, spec = display or Display(), spec.for_judging()
    if spec.signal.samples is None or not spec.signals:
        raise UsageError("samples and signals must be given to search a crop of them")
    if times < 2:
        raise UsageError(f"`2 <= times` must hold, but got times={times}")
    if spec.search.space != "siren2":
        raise UsageError(f"points are carried over in space siren2, but got space={spec.search.space}")
    if spec.search.confirm < 2:
        raise UsageError(f"`2 <= seeds` must hold for an interval, but got seeds={spec.search.confirm}")
    name = spec.name or f"transfer-{spec.search.seed}"
    unconfirmed = spec.search.model_copy(update={"confirm": 0})  # the points are judged there
    [here] = settings_of(spec.model_copy(update={"name": f"{name}-from", "search": unconfirmed}), (), ())
    there = _larger(spec.model_copy(update={"name": f"{name}-to"}), times, trials_there or spec.search.trials)
    asked = {plan.name for setting in (here, there) for plan in plan_studies(setting)}
    run_study(here, display=display)
    found = {study.facts("signal"): study for study in studies_of(here, str(here.name), asked)}
    with ExitStack() as stack:
        carried = {way: stack.enter_context(_carried(way, there, found).known()) for way in CARRIED}
        names = (*there.search.heuristic, *carried.values())
        search = there.search.model_copy(update={"heuristic": names})
        run_study(there.model_copy(update={"search": search}), display=display)
    studies = studies_of(there, str(there.name), asked)
    [setting] = judge(studies, spec.store.store, scores=(), say=display.say)["settings"]
    ways = {label: way for way, label in carried.items()}
    setting["heuristics"] = {ways.get(label, label): entry for label, entry in setting["heuristics"].items()}
    for contrast in setting["contrasts"]:
        contrast.update({key: ways.get(contrast[key], contrast[key]) for key in ("better", "than")})
    difference, interval = mean_interval([_difference(study, carried) for study in studies])
    document = Transfer(
        here={"samples": spec.signal.samples, "steps": spec.fit.steps, "trials": spec.search.trials},
        there=setting,
        carried={way: setting["heuristics"][way] for way in CARRIED},
        relative_minus_absolute_db=difference,
        ci95_db=list(interval) if interval else None,
        cost_ratio=_fit_seconds(studies) / max(_fit_seconds(list(found.values())), 1e-9),
    )
    keep(document, name, "transfer", spec.store, display.say)
    return document


def _larger(spec: StudySpec, times: int, trials: int) -> StudySpec:
    assert spec.signal.samples is not None
    return settings_of(
        spec.model_copy(
            update={
                "fit": spec.fit.model_copy(update={"steps": times * spec.fit.steps}),
                "search": spec.search.model_copy(
                    update={"trials": trials, "heuristic": spec.search.heuristic or (ALL_LAWS,)}
                ),
            }
        ),
        (times * spec.signal.samples,),
        (),
    )[0]


def _carried(way: str, there: StudySpec, found: Mapping[str, StudyStorage]) -> PerSignalLaw:
    """The found points at the larger size."""
    laws: dict[Key, OwnLaw] = {}
    said: dict[Key, str] = {}
    width = there.network.width
    for source in there.signals:
        study = found[source]
        spectrum = read_signal(source, there.signal.to_crop()).spectrum()
        point = {key: float(summarise(study)["best"]["params"][key]) for key in ("s0", "s1", "lr")}
        if way == "relative":
            band = noise_bandwidth(NoiseScales(point["s0"], point["s1"]), width) * spectrum.nyquist_rad
            point["s0"] = scales_on_ridge(band / study.facts("spectrum")["nyquist_rad"], point["s1"], width).s0
        laws[key_of(spectrum)] = OwnLaw(name=way, rule=_constant(point))
        said[key_of(spectrum)] = str(sorted(point.items()))
    return PerSignalLaw(f"carried-{way}", f"winnow: found on a shorter crop, carried over in {way} units", laws, said)


def _constant(point: Mapping[str, float]) -> Callable[[Spectrum, int], dict[str, float]]:
    return lambda spectrum, width: dict(point)


def _difference(study: StudyStorage, carried: Mapping[str, str]) -> float:
    """Mean over paired confirm seeds of relative - absolute, dB."""
    relative, absolute = (
        seed_values(carried[way], Purpose.CONFIRM, study.confirmations(), study.objective) for way in CARRIED
    )
    shared = sorted(relative.keys() & absolute.keys())
    return paired_difference([relative[seed] for seed in shared], [absolute[seed] for seed in shared])[0]


def _fit_seconds(studies: Sequence[StudyStorage]) -> float:
    return math.fsum(record.fit_seconds for study in studies for record in study.trials())
