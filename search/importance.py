"""How much each search coordinate decides whether a trial is among the best: PED-ANOVA, as Optuna has it.

[Watanabe2023] arXiv 2304.10255 (PED-ANOVA).
"""

from __future__ import annotations

import warnings

from optuna.study import Study
from optuna.trial import TrialState

MIN_TRIALS = 10
"""Complete ones, below which the best are too few to differ from the rest."""

MIN_BEST = 5
"""Optuna asks for as many, so that the importances are stable."""

BEST_SHARE = 0.1
"""Share of the trials that count as the best, where these are enough."""


def importances(study: Study) -> dict[str, float]:
    """Share of each search coordinate, the largest first; together 1. Nothing for fewer than `MIN_TRIALS`.

    How far the density of the best tenth of the complete trials (five at least), along the coordinate, differs from
    that of all of them (Pearson divergence). With several objectives the last one counts: held-out PSNR.

    Args:
        study: of the search, which maximises; references that its sampler was told are trials of it.
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances  # it loads scikit-learn

    num = len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
    if num < MIN_TRIALS:
        return {}
    evaluator = PedAnovaImportanceEvaluator(target_quantile=max(BEST_SHARE, MIN_BEST / num))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a target is minimised: it is
        shares = get_param_importances(study, evaluator=evaluator, target=lambda trial: -trial.values[-1])
    return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))
