"""The winner, for use elsewhere: weights (safetensors), recipe (JSON), and a snippet of plain torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from search.trial import TrialSpec
from spaces.noise import HIDDEN_W
from trainers.checkpoint import pack, unpack, write_atomically
from trainers.config import FitResult
from trainers.signals import Signal

WEIGHTS, RECIPE, SNIPPET = "winner.safetensors", "recipe.json", "snippet.py"

FORMAT = 1
"""Of the recipe."""


def build_recipe(
    spec: TrialSpec, result: FitResult, signal: Signal, confirmed: Mapping[str, Any] | None
) -> dict[str, Any]:
    """All that it takes to build, train or use the winner's network, JSON-able.

    Args:
        spec: the winner's fit.
        result: what it brought.
        signal: what it was fitted to.
        confirmed: mean over fresh seeds of its point.
    """
    network = {**asdict(spec.network), "knobs": dict(spec.network.knobs)}
    return {
        "format": FORMAT,
        "signal": {
            "source": signal.source,
            "kind": signal.kind,
            "rate_hz": signal.rate_hz,
            "start": signal.start,
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
        "psnr_db": result.progress.psnr_db,
        "best_step": result.progress.best_step,
        "confirmed": confirmed,
    }


def save_winner(folder: Path, recipe: Mapping[str, Any], result: FitResult) -> list[Path]:
    """Write weights, recipe and snippet into `folder`; the files written."""
    facts = {"psnr_db": result.progress.psnr_db, "seed": recipe["seed"], "point": recipe["point"]}
    write_atomically(folder / WEIGHTS, pack(result.weights, facts))
    write_atomically(folder / RECIPE, (json.dumps(recipe, indent=2) + "\n").encode())
    write_atomically(folder / SNIPPET, snippet(recipe).encode())
    return [folder / WEIGHTS, folder / RECIPE, folder / SNIPPET]


def is_winner_of(folder: Path, seed: int, point: Mapping[str, Any]) -> bool:
    """Whether the folder holds the winner of that seed and point."""
    path = folder / WEIGHTS
    if not path.exists():
        return False
    _, facts = unpack(path.read_bytes())
    return bool(facts["seed"] == seed and facts["point"] == dict(point))


def snippet(recipe: Mapping[str, Any]) -> str:
    """Python with torch alone: the network, its initialisation, and how to load the weights."""
    network, knobs = recipe["network"], recipe["network"]["knobs"]
    confirmed = recipe["confirmed"]
    template = Template((files("search") / "snippet.template").read_text(encoding="utf-8"))
    return template.substitute(
        source=recipe["signal"]["source"],
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
        samples=recipe["signal"]["samples"],
    )
