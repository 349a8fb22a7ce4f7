"""Search every signal at every size, confirm on fresh seeds, and judge heuristics and scores by it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from search.config import StudySpec
from search.display import Display
from search.errors import UsageError
from search.heuristics import ALL_LAWS
from search.plan import plan_studies
from search.run import run_study
from search.status import find_studies
from search.validation import Validation, judge
from search.verdict import keep
from spaces.scores import SCORES, score_named

HEURISTICS = (ALL_LAWS, "fresh")
"""What is judged unless some are named."""


def validate(
    spec: StudySpec,
    *,
    samples: Sequence[int] = (),
    widths: Sequence[int] = (),
    scores: Sequence[str] | None = None,
    display: Display | None = None,
) -> Validation:
    """Regret of heuristics and rank correlation of scores over the signals of `spec`.

    One campaign for each number of samples and each width, `<name>-n4096-w64`; each resumes, and what has ended is
    judged as it is. Where `spec` has no signals, the campaigns of its name in the store are judged.

    Args:
        spec: what is searched; `search.confirm` is the number of fresh seeds. Without `search.heuristic`, all laws that
            apply and FreSh are judged.
        samples, widths: sizes; those of `spec` unless given.
        scores: names; all unless given, none for ().
        display: told of what happens.

    Raises:
        ScoreError: an unknown score.
        UsageError: fewer than two confirm seeds, which have no interval.
        InputError, SpecError, ... as `run_study`, before anything starts.
    """
    display = display or Display()
    if spec.search.confirm < 2:
        raise UsageError(f"`2 <= seeds` must hold for an interval, but got seeds={spec.search.confirm}")
    scores = list(SCORES) if scores is None else scores
    for score in scores:
        score_named(score)
    name = spec.name or f"validate-{spec.default_name(f'{datetime.now(UTC):%Y%m%d}')}"
    heuristics = spec.search.heuristic or HEURISTICS
    search = spec.search.model_copy(update={"heuristic": heuristics, "confirm_untuned": True})
    named = spec.model_copy(update={"name": name, "search": search})
    settings = settings_of(named, samples, widths) if spec.signals else []
    for setting in settings:
        plan_studies(setting)
    campaigns = [str(setting.name) for setting in settings] or campaigns_of(spec, name)
    for setting in settings:
        display.say(f"{setting.name}: {len(setting.signals)} signal{'s' if len(setting.signals) > 1 else ''}")
        run_study(setting, display=display)
    studies = [
        study for campaign in campaigns for study in find_studies(spec.store.store, spec.store.storage, campaign)
    ]
    display.say("scoring untrained networks")
    document = judge(studies, spec.store.store, scores=scores, say=display.say)
    keep(document, name, "validation", spec.store, display.say)
    return document


def settings_of(spec: StudySpec, samples: Sequence[int], widths: Sequence[int]) -> list[StudySpec]:
    """One campaign for each size, widths of one number of samples together."""
    specs = []
    sizes: Sequence[int | None] = samples or [spec.signal.samples]
    for num in sizes:
        for width in widths or [spec.network.width]:
            size = f"n{num}-w{width}" if num else f"w{width}"
            specs.append(
                spec.model_copy(
                    update={
                        "name": f"{spec.name}-{size}",
                        "signal": spec.signal.model_copy(update={"samples": num}),
                        "network": spec.network.model_copy(update={"width": width}),
                    }
                )
            )
    return specs


def campaigns_of(spec: StudySpec, name: str) -> list[str]:
    """Campaigns of the store that a validation of that name searched, or the one that is called so.

    Raises:
        StudyError: there is no store.
    """
    studies = find_studies(spec.store.store, spec.store.storage, None)
    known = dict.fromkeys(study.name.partition("/")[0] for study in studies)
    sized = re.compile(rf"{re.escape(name)}(-n\d+)?-w\d+")
    return [campaign for campaign in known if campaign == name or sized.fullmatch(campaign)] or [name]
