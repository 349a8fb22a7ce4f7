"""A study's signal as MLflow's dataset: what its runs were fitted to, by content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search.errors import one_line

DIGEST_DIGITS = 16
"""Of the signal's SHA-256: MLflow takes 36 characters, and shows them beside the name."""


@dataclass(frozen=True, kw_only=True)
class SignalDataset:
    """One signal, cropped as the study asked.

    Attributes:
        name: of its file.
        digest: of its content: studies of one signal share it.
        source: where it was read, without credentials.
        profile: samples, rate and spectrum.
        shape: of its samples.
        context: the task.
    """

    name: str
    digest: str
    source: str
    profile: Mapping[str, float | str]
    shape: tuple[int, ...]
    context: str

    def source_json(self) -> str:
        """As MLflow holds a file's address."""
        return json.dumps({"uri": self.source})

    def profile_json(self) -> str:
        """As MLflow shows it, name by name."""
        return json.dumps(self.profile)

    def schema_json(self) -> str:
        """A tensor of the signal's shape; channels come last."""
        tensor = {"dtype": "float32", "shape": list(self.shape)}
        features = json.dumps([{"name": "samples", "type": "tensor", "tensor-spec": tensor}])
        return json.dumps({"mlflow_tensorspec": {"features": features, "targets": None}})


def dataset_of(
    title: str, fingerprint: Mapping[str, Any], params: Mapping[str, str], spectrum: Mapping[str, Any] | None
) -> SignalDataset | None:
    """The dataset of a study from what its storage keeps; None where an old one kept too little.

    Args:
        title: `<stem of the file>-<digits of its hash>`.
        fingerprint: of the study.
        params: of its run in MLflow.
        spectrum: its facts.
    """
    if "signal_sha256" not in fingerprint or "signal" not in params or spectrum is None:
        return None
    profile: dict[str, float | str] = {"kind": spectrum["kind"]}
    profile |= {key: float(params[key]) for key in ("num_samples", "rate_hz") if key in params}
    profile |= {"centroid": spectrum["centroid"], "nyquist_rad": spectrum["nyquist_rad"]}
    return SignalDataset(
        name=title.rpartition("-")[0] or title,
        digest=fingerprint["signal_sha256"][:DIGEST_DIGITS],
        source=one_line(params["signal"]),
        profile=profile,
        shape=(*spectrum["shape"], spectrum["channels"]),
        context=fingerprint["task"],
    )
