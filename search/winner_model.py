"""The winner as an MLflow model folder: code of plain torch, weights in safetensors, JSON; nothing in it is a pickle.

MLflow's "python_function" flavour names a module of the folder that loads the model. It is written here, since MLflow's
own way to write one pickles whatever it is given as an object.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from search.errors import StorageError
from search.export import read_winner
from search.folder import RECIPE, SNIPPET, WEIGHTS
from search.snippet import DEFAULT_KNOBS

REQUIREMENTS = ("mlflow", "numpy", "safetensors", "torch")
"""What the model needs to be loaded."""

EXAMPLE_POINTS = 5
"""Of the input example, from corner to corner."""


@dataclass(frozen=True, kw_only=True)
class WinnerModel:
    """What a model folder is made from.

    Attributes:
        name: of the study, in full.
        dims, channels: of the signal: coordinates (points, dims) in, values (points, channels) out.
        code: of its module: the exported snippet, and what MLflow calls.
        weights: safetensors.
        recipe: JSON, as exported.
        params: the winner's point and network, as MLflow holds them.
        metrics: of these very weights.
    """

    name: str
    dims: int
    channels: int
    code: str
    weights: bytes
    recipe: bytes
    params: Mapping[str, str]
    metrics: Mapping[str, float]

    @property
    def title(self) -> str:
        """The study's name without what MLflow refuses in that of a model."""
        return re.sub(r"[^\w-]+", "-", self.name)

    @property
    def digest(self) -> str:
        """Of code and weights."""
        return hashlib.sha256(self.code.encode() + b"\0" + self.weights).hexdigest()[:16]

    @property
    def module(self) -> str:
        """A name that no other winner has: a process may load several."""
        return f"winner_{self.digest}"


def read_winner_model(folder: Path, name: str) -> WinnerModel | None:
    """From a study's folder; None where it has no winner, or where winnow does not have the code of its network.

    Raises:
        StorageError: a file is not what it should be.
    """
    try:
        contents = read_winner(folder, (WEIGHTS, RECIPE, SNIPPET))
    except FileNotFoundError:
        return None
    try:
        recipe = json.loads(contents[RECIPE])
        network, fit = recipe["network"], recipe["fit"]
        if network["architecture"] not in DEFAULT_KNOBS:
            return None
        sizes = {key: network[key] for key in ("architecture", "width", "depth")}
        params = {**recipe["point"], "space": recipe["space"], **sizes, "steps": fit["steps"], "seed": recipe["seed"]}
        scores = {f"winner_{key}": recipe[key] for key in ("psnr_db", "held_psnr_db")}
        return WinnerModel(
            name=name,
            dims=int(network["dims"]),
            channels=int(network["channels"]),
            code=contents[SNIPPET].decode() + (files("search") / "snippets" / "model.template").read_text("utf-8"),
            weights=contents[WEIGHTS],
            recipe=contents[RECIPE],
            params={key: str(value) for key, value in params.items()},
            metrics={key: float(value) for key, value in scores.items() if value is not None},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StorageError(f"{folder / RECIPE} must be a winner's recipe, but: {error!r}") from error


def write_model_folder(folder: Path, winner: WinnerModel, *, model_id: str, run_id: str, location: str) -> None:
    """Write the folder that `mlflow.pyfunc.load_model` takes.

    Args:
        folder: to be filled.
        winner: the model.
        model_id, run_id: that MLflow gave to it and to its study.
        location: where MLflow keeps it.
    """
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, winner.dims))]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, winner.channels))]),
    )
    model = Model(artifact_path=location, run_id=run_id, model_uuid=model_id, model_id=model_id, signature=signature)
    model.saved_input_example_info = {
        "artifact_path": "input_example.json",
        "serving_input_path": "serving_input_example.json",
        "type": "ndarray",
    }
    model.add_flavor(
        "python_function",
        loader_module=winner.module,
        code="code",
        data=WEIGHTS,
        env={"virtualenv": "python_env.yaml"},
        python_version=platform.python_version(),
    )
    (folder / "code").mkdir(parents=True)
    (folder / "code" / f"{winner.module}.py").write_text(winner.code, encoding="utf-8")
    (folder / WEIGHTS).write_bytes(winner.weights)
    (folder / RECIPE).write_bytes(winner.recipe)
    environment = {"python": platform.python_version(), "dependencies": ["-r requirements.txt"]}
    for name, content in {"python_env.yaml": environment, **_examples(winner.dims)}.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")  # JSON is YAML, too
    pins = [f"{package}=={version(package).split('+')[0]}" for package in REQUIREMENTS]
    (folder / "requirements.txt").write_text("\n".join(pins) + "\n", encoding="utf-8")
    model.save(str(folder / "MLmodel"))


def _examples(dims: int) -> dict[str, Any]:
    points = np.linspace(-1.0, 1.0, EXAMPLE_POINTS).repeat(dims).reshape(-1, dims).tolist()
    return {"input_example.json": points, "serving_input_example.json": {"inputs": points}}
