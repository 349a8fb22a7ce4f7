"""Search every signal at every size, confirm on fresh seeds, and judge heuristics and scores by it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from search.config import StudySpec, read_spec
from search.display import Display
from search.errors import UsageError
from search.heuristics import ALL_LAWS
from search.plan import plan_studies
from search.run import run_study
from search.status import find_studies
from search.storage import StudyStorage
from search.validation import Validation, judge
from search.verdict import keep
from spaces.scores import SCORES, score_named

HEURISTICS = (ALL_LAWS, "fresh")
"""What is judged unless some are named."""

SIZE_PATTERN = r"([1-9][0-9]{0,8})x([1-9][0-9]{0,8})x([1-9][0-9]{0,8})"
"""`--size`: samples, width and steps."""


class Size(NamedTuple):
    """Of a fit: what a campaign has in common beside its settings; `samples` of None are all."""

    samples: int | None
    width: int
    steps: int

    @classmethod
    def read(cls, text: str) -> Size:
        """From `4096x64x300`.

        Raises:
            UsageError: it is something else.
            SpecError: a width or a number of steps beyond its range.
        """
        sizes = re.fullmatch(SIZE_PATTERN, text)
        if not sizes:
            raise UsageError(f"a size must be SAMPLESxWIDTHxSTEPS, such as 4096x64x300, but got {text!r}")
        samples, width, steps = map(int, sizes.groups())
        read_spec(None, {"signal": {"samples": samples}, "network": {"width": width}, "fit": {"steps": steps}})
        return cls(samples, width, steps)


def validate(
    spec: StudySpec,
    *,
    samples: Sequence[int] = (),
    widths: Sequence[int] = (),
    sizes: Sequence[Size] = (),
    scores: Sequence[str] | None = None,
    display: Display | None = None,
) -> Validation:
    """Regret of heuristics and rank correlation of scores over the signals of `spec`.

    One campaign for each size, `<name>-n4096-w64`; each resumes, and what has ended is judged as it is. What the
    campaigns searched of other signals is left out; where `spec` has no signals, all of the store's are judged.

    Args:
        spec: what is searched; `search.confirm` is the number of fresh seeds, 8 unless given, and no trial is pruned
            unless `search.pruner` is given. Without `search.heuristic`, all laws that apply and FreSh are judged.
        samples, widths, sizes: see `settings_of`.
        scores: names; all unless given, none for ().
        display: told of what happens.

    Raises:
        ScoreError: an unknown score.
        UsageError: fewer than two confirm seeds, which have no interval.
        InputError, SpecError, ... as `run_study`, before anything starts.
    """
    display, spec = display or Display(), spec.for_judging()
    if spec.search.confirm < 2:
        raise UsageError(f"`2 <= seeds` must hold for an interval, but got seeds={spec.search.confirm}")
    scores = list(SCORES) if scores is None else scores
    for score in scores:
        score_named(score)
    name = spec.name or f"validate-{spec.default_name(f'{datetime.now(UTC):%Y%m%d}')}"
    heuristics = spec.search.heuristic or HEURISTICS
    search = spec.search.model_copy(update={"heuristic": heuristics, "confirm_untuned": True})
    named = spec.model_copy(update={"name": name, "search": search})
    settings = settings_of(named, samples, widths, sizes) if spec.signals else []
    asked = {plan.name for setting in settings for plan in plan_studies(setting)}
    campaigns = [str(setting.name) for setting in settings] or campaigns_of(spec, name)
    for setting in settings:
        display.say(f"{setting.name}: {len(setting.signals)} signal{'s' if len(setting.signals) > 1 else ''}")
        run_study(setting, display=display)
    studies = [study for campaign in campaigns for study in studies_of(spec, campaign, asked if settings else None)]
    display.say("scoring untrained networks")
    document = judge(studies, spec.store.store, scores=scores, say=display.say)
    keep(document, name, "validation", spec.store, display.say)
    return document


def settings_of(
    spec: StudySpec, samples: Sequence[int], widths: Sequence[int], sizes: Sequence[Size] = ()
) -> list[StudySpec]:
    """One campaign for each size, widths of one number of samples together.

    Args:
        spec: says what is not given.
        samples, widths: every one of the first with every one of the second.
        sizes: further ones, or the only ones where no samples and widths are given.
    """
    every = list(sizes)
    if samples or widths or not sizes:
        nums: Sequence[int | None] = samples or [spec.signal.samples]
        every = [Size(num, width, spec.fit.steps) for num in nums for width in widths or [spec.network.width]] + every
    return [_at(spec, size) for size in dict.fromkeys(every)]


def settings_in_store(spec: StudySpec, name: str) -> list[StudySpec]:
    """The campaigns of that name in the store, each with its size and its studies that ended; `spec` says the rest.

    Raises:
        StudyError: there is none.
    """
    settings = []
    for campaign in campaigns_of(spec, name):
        studies = ended_studies(spec, campaign)
        if not studies:
            continue
        asked = studies[0].facts("fingerprint")
        sized = _at(spec, Size(asked["samples"], asked["width"], asked["steps"]))
        signals = tuple(str(study.facts("signal")) for study in studies)
        settings.append(sized.model_copy(update={"name": campaign, "signals": signals}))
    return settings


def studies_of(spec: StudySpec, campaign: str, names: Collection[str] | None = None) -> list[StudyStorage]:
    """Those of a campaign in the spec's store; with names, only these.

    Raises:
        StudyError: there is no such campaign.
    """
    studies = find_studies(spec.store.store, spec.store.storage, campaign)
    return [study for study in studies if names is None or study.name in names]


def ended_studies(spec: StudySpec, campaign: str, names: Collection[str] | None = None) -> list[StudyStorage]:
    """Those of `studies_of` that came to their end.

    Raises:
        StudyError: there is no such campaign.
    """
    return [study for study in studies_of(spec, campaign, names) if study.facts("finished") is not None]


def _at(spec: StudySpec, size: Size) -> StudySpec:
    name = f"{spec.name}-n{size.samples}-w{size.width}" if size.samples else f"{spec.name}-w{size.width}"
    return spec.model_copy(
        update={
            "name": name if size.steps == spec.fit.steps else f"{name}-s{size.steps}",
            "signal": spec.signal.model_copy(update={"samples": size.samples}),
            "network": spec.network.model_copy(update={"width": size.width}),
            "fit": spec.fit.model_copy(update={"steps": size.steps}),
        }
    )


def campaigns_of(spec: StudySpec, name: str) -> list[str]:
    """Campaigns of the store that a validation or calibration of that name searched, or the one that is called so.

    Raises:
        StudyError: there is no store.
    """
    studies = find_studies(spec.store.store, spec.store.storage, None)
    known = dict.fromkeys(study.name.partition("/")[0] for study in studies)
    sized = re.compile(rf"{re.escape(name)}(-n\d+)?-w\d+(-s\d+)?")
    return [campaign for campaign in known if campaign == name or sized.fullmatch(campaign)] or [name]
