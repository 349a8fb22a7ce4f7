"""The winner, for use elsewhere: weights (safetensors), recipe (JSON), and a snippet of plain torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from search.folder import RECIPE, RECONSTRUCTION, SNIPPET, TARGET, WEIGHTS
from search.storage import Record
from search.trial import TrialSpec
from spaces.noise import HIDDEN_W
from trainers.audio import write_audio
from trainers.checkpoint import CheckpointError, pack, unpack, write_atomically
from trainers.config import FitResult
from trainers.signals import Signal

RECIPE_FORMAT = 1


def build_recipe(
    spec: TrialSpec, record: Record, signal: Signal, confirmed: Mapping[str, Any] | None
) -> dict[str, Any]:
    """All that it takes to build, train or use the winner's network, JSON-able.

    Args:
        spec: the winner's fit.
        record: what it brought.
        signal: what it was fitted to.
        confirmed: mean over fresh seeds of its point.
    """
    network = {**asdict(spec.network), "knobs": dict(spec.network.knobs)}
    return {
        "format": RECIPE_FORMAT,
        "signal": {
            "source": signal.source,
            "kind": signal.kind,
            "rate_hz": signal.rate_hz,
            "start": signal.start[0],
            "samples": signal.num_samples,
            "peak": signal.peak,
            "sha256": signal.digest,
        },
        "space": spec.space,
        "point": dict(spec.point),
        "network": network,
        # SIREN^2 leaves w_first at the hidden layers' w: s0 sets the first layer's frequencies.
        "factors": {"w_first": spec.network.knobs.get("w_first", HIDDEN_W), "w": spec.network.knobs.get("w", HIDDEN_W)},
        "fit": asdict(spec.fit),
        "seed": spec.seed,
        "psnr_db": record.psnr_db,
        "best_step": record.best_step,
        "confirmed": confirmed,
    }


def save_weights(folder: Path, spec: TrialSpec, result: FitResult, signal: Signal) -> None:
    """Write the sounds, then the weights: what has weights has all of it, wherever a crash comes."""
    folder.mkdir(parents=True, exist_ok=True)
    write_audio(folder / RECONSTRUCTION, result.output, signal.rate_hz or 1.0)
    write_audio(folder / TARGET, signal.values, signal.rate_hz or 1.0)
    facts = {"psnr_db": result.progress.psnr_db, "seed": spec.seed, "point": dict(spec.point)}
    write_atomically(folder / WEIGHTS, pack(result.weights, facts))


def save_recipe(folder: Path, recipe: Mapping[str, Any]) -> None:
    """Write recipe and snippet."""
    write_atomically(folder / RECIPE, (json.dumps(recipe, indent=2) + "\n").encode())
    write_atomically(folder / SNIPPET, snippet(recipe).encode())


def has_weights_of(folder: Path, spec: TrialSpec) -> bool:
    """Whether the folder holds, undamaged, what a fit of that seed and point brought."""
    try:
        _, facts = unpack((folder / WEIGHTS).read_bytes())
    except (FileNotFoundError, CheckpointError):
        return False
    is_same = facts.get("seed") == spec.seed and facts.get("point") == dict(spec.point)
    return is_same and (folder / RECONSTRUCTION).exists() and (folder / TARGET).exists()


def snippet(recipe: Mapping[str, Any]) -> str:
    """Python with torch alone: the network, its initialisation, and how to load the weights."""
    network, knobs = recipe["network"], recipe["network"]["knobs"]
    confirmed = recipe["confirmed"]
    template = Template((files("search") / "snippet.template").read_text(encoding="utf-8"))
    return template.substitute(
        source=json.dumps(recipe["signal"]["source"]),  # a literal: a file may have any name
        space=recipe["space"],
        confirmed=f"{confirmed['mean_psnr_db']:.1f} dB over {confirmed['seeds']} fresh seeds" if confirmed else "none",
        dims=network["dims"],
        channels=network["channels"],
        width=network["width"],
        depth=network["depth"],
        w_first=recipe["factors"]["w_first"],
        w=recipe["factors"]["w"],
        s0=knobs.get("s0", 0.0),
        s1=knobs.get("s1", 0.0),
        lr=recipe["fit"]["lr"],
        decay=recipe["fit"]["decay"],
        decay_every=recipe["fit"]["decay_every"],
        steps=recipe["fit"]["steps"],
    )
