"""Selection: which trial's point is recommended: a race of the leading ones over fresh seeds, by smoothed scores.

The luckiest trial is not the best point. So trials are ranked by what the whole landscape expects of them (`smooth`),
one in fifteen of them is fitted on a select seed, the better half of these on another, and so on to the last two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from search.confirm import Candidate, ranked_trials, seed_values
from search.objective import Objective
from search.record import Record
from search.smooth import smoothed_db
from search.trial import Purpose
from spaces.parameters import Point
from spaces.space import Space

RACED = 1 / 15
"""Share of the trials that are raced."""

MAX_RACED = 8
"""Most trials that are raced, however many there are: beyond them the expected scores say enough."""

MAX_MODELLED = 200
"""Leading trials that the landscape is made of: its cost grows with their cube."""

SEARCH_SEED = -1
"""Stands for the search's own seed beside select seeds 0, 1, ..."""


class Standing(NamedTuple):
    """Where a race stands.

    Attributes:
        candidates: that are still in it, best first.
        repeat: the select seed that they are to be fitted on next; None: it is decided, for the first of them.
    """

    candidates: list[Candidate]
    repeat: int | None


def race(
    trials: Sequence[Record],
    beside: Sequence[tuple[Point, float]],
    confirmations: Sequence[Record],
    space: Space,
    objective: Objective,
    prediction_db: float | None,
    sizes: Sequence[int],
) -> Standing:
    """The race replayed over the fits that are there; a candidate that failed on a seed is out.

    Args:
        trials: of the search.
        beside: points of the space that were fitted on the search's seed but not proposed, with their scores in dB.
        confirmations: of the study; those on select seeds count.
        space: that is searched.
        objective: by whose score points are ranked.
        prediction_db: of the best prediction; see `ranked_trials`.
        sizes: candidates of each round.
    """
    ranked = ranked_trials(trials, objective, prediction_db)[:MAX_MODELLED]
    candidates = [Candidate(label=record.label, record=record, space=space) for record in ranked]
    select = {one.label: seed_values(one.label, Purpose.SELECT, confirmations, objective) for one in candidates}
    fitted = {record.key for record in confirmations}
    for repeat, size in enumerate(sizes):
        candidates = _best_first(candidates, ranked, beside, select, repeat, space, objective)[:size]
        if not fitted.issuperset(f"{Purpose.SELECT}/{one.label}/{repeat}" for one in candidates):
            return Standing(candidates, repeat)
        candidates = [one for one in candidates if repeat in select[one.label]] or candidates
    return Standing(_best_first(candidates, ranked, beside, select, len(sizes), space, objective), None)


def race_sizes(num_trials: int) -> list[int]:
    """Candidates of each round: a fifteenth of the trials (two to eight), then the better half, to the last two."""
    sizes, size = [], min(max(math.ceil(RACED * num_trials), 2), MAX_RACED)
    while size > 1:
        sizes.append(size)
        size = math.ceil(size / 2) if size > 2 else 0
    return sizes


def _best_first(
    candidates: Sequence[Candidate],
    ranked: Sequence[Record],
    beside: Sequence[tuple[Point, float]],
    select: Mapping[str, Mapping[int, float]],
    rounds: int,
    space: Space,
    objective: Objective,
) -> list[Candidate]:
    """By expected score, from the search and the first `rounds` rounds."""
    points, scores = evidence(ranked, beside, select, rounds, objective)
    expected = smoothed_db(space, points, scores)[len(beside) :]
    by_label = {record.label: value for record, value in zip(ranked, expected, strict=True)}
    return sorted(candidates, key=lambda one: -by_label[one.label])


def evidence(
    ranked: Sequence[Record],
    beside: Sequence[tuple[Point, float]],
    select: Mapping[str, Mapping[int, float]],
    rounds: int,
    objective: Objective,
) -> tuple[list[Point], list[dict[int, float]]]:
    """What the landscape is made of: points, those of `beside` first, and the scores of each by seed, dB.

    Args:
        ranked: trials of the search, with a score.
        beside: as `race` takes them.
        select: scores by select seed, by label of the trial.
        rounds: select seeds that count, from the first on.
        objective: by whose score points are ranked.
    """
    scores = [{SEARCH_SEED: score} for _, score in beside]
    for record in ranked:
        score = objective.score_db(record)
        assert score is not None
        seeds = {repeat: value for repeat, value in select[record.label].items() if repeat < rounds}
        scores.append({SEARCH_SEED: score, **seeds})
    return [point for point, _ in beside] + [record.point for record in ranked], scores
