"""Many trials: propose, distribute, record, judge.

From a script: `from search import StudySpec, run_study, validate, predict, fit_point`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.calibration import calibrate
    from search.config import StudySpec
    from search.corpus import validate
    from search.point import fit_point, predict
    from search.run import run_study
    from search.transfers import transfer

__all__ = ["StudySpec", "calibrate", "fit_point", "predict", "run_study", "transfer", "validate"]

_HOMES = {
    "calibrate": "search.calibration",
    "StudySpec": "search.config",
    "fit_point": "search.point",
    "predict": "search.point",
    "run_study": "search.run",
    "transfer": "search.transfers",
    "validate": "search.corpus",
}


def __getattr__(name: str) -> Any:
    """Import on first use: `import search` alone loads neither ray nor torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'search' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
