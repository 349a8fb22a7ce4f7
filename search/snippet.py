"""The snippet: Python with torch alone, made from a recipe; one template an architecture says what its network is."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib.resources import files
from string import Template
from textwrap import fill
from typing import Any

from trainers.config import KNOBS, NetworkConfig
from trainers.metrics import PEAK_TO_PEAK_SCALE

DEFAULT_KNOBS: Mapping[str, Mapping[str, float]] = {
    architecture: {name: value for name, value in knobs.items() if isinstance(value, float)}
    for architecture, knobs in KNOBS.items()
}
"""What a network takes where its point says nothing."""

COUNTS = ("features", "octaves")
"""Knobs that are whole numbers."""

TASKS: Mapping[str, str] = {
    "holdout": "a share of the samples held out",
    "upsample": "every few samples trained on, all others held out",
    "denoise": "trained on noisy samples, scored against the clean ones",
    "inpaint": "gaps held out",
}
"""What the snippet says of a task that does not train on all samples as they are."""

PEAKS: Mapping[str, str] = {
    "audio": "the largest |value|",
    "image": "from black, -1, to white, 1",
    "volume": "the largest |value|",
    "occupancy": "from outside, -1, to inside, 1",
}
"""What the peak of PSNR is, by kind of signal."""

LINE = 119


def all_knobs(network: NetworkConfig) -> dict[str, float]:
    """The network's knobs, with defaults for those that it leaves out."""
    return {**DEFAULT_KNOBS.get(network.architecture, {}), **network.knobs}


def snippet(recipe: Mapping[str, Any]) -> str:
    """Python with torch alone: the network, its initialisation, its training, and how to load the weights.

    For an architecture of the user's own, whose code winnow does not have, it only says how to load them.
    """
    network, knobs = recipe["network"], recipe["network"]["knobs"]
    # Templates may name what their architecture has, no more: substitute raises where one asks for another's.
    values = {name: str(int(value)) if name in COUNTS else repr(value) for name, value in knobs.items()}
    if network["architecture"] not in DEFAULT_KNOBS:
        return _own(recipe)
    values.setdefault("k", repr(1.0 / math.sqrt(network["dims"])))  # FINER without a k keeps torch's own bias
    kind = recipe["signal"]["kind"]
    return _template("file").substitute(
        summary=_summary("A network", recipe),
        details=_details(recipe),
        source=json.dumps(recipe["signal"]["source"]),  # a literal: a file may have any name
        shape=repr(tuple(recipe["signal"]["shape"])),
        channels=network["channels"],
        width=network["width"],
        depth=network["depth"],
        **{key: recipe["fit"][key] for key in ("steps", "lr", "decay", "decay_every")},
        peak=repr(1.0 / PEAK_TO_PEAK_SCALE[kind]),
        peak_reason=PEAKS[kind],
        network=_template(network["architecture"]).substitute(values),
    )


def _own(recipe: Mapping[str, Any]) -> str:
    network = recipe["network"]
    sizes = {key: network[key] for key in ("dims", "channels", "width", "depth")}
    details = (
        f"winnow knows this network as {json.dumps(network['architecture'])}, an architecture that was registered, and "
        "does not have its code. Make the module as there; load_winner then puts the exported weights into it. The "
        "point, the learning rate and the number of steps are in recipe.json. Where the architecture was not made with "
        "module_architecture, the weights have the names that it gives to its tensors. Needs torch and safetensors."
    )
    return _template("own").substitute(
        summary=_summary("The weights of a network of your own", recipe),
        details="\n\n".join([fill(details, LINE), *_task_lines(recipe)]),
        arguments=", ".join(f"{key}={value!r}" for key, value in {**sizes, **network["knobs"]}.items()),
    )


def _summary(what: str, recipe: Mapping[str, Any]) -> str:
    confirmed = recipe["confirmed"]
    mean = "none"
    if confirmed:
        held = f"{confirmed['mean_held_psnr_db']:.1f} dB held out, " if "mean_held_psnr_db" in confirmed else ""
        seeds = confirmed["seeds"]
        mean = f"{confirmed['mean_psnr_db']:.1f} dB, {held}over {seeds} fresh seed{'' if seeds == 1 else 's'}"
    return f"{what} found by winnow for SIGNAL: space {recipe['space']}.\n\nConfirmed mean PSNR: {mean}."


def _details(recipe: Mapping[str, Any]) -> str:
    needs = (
        "Needs torch; numpy and safetensors to check the exported weights (python snippet.py, beside "
        "winner.safetensors and target.npy). PSNR is that of the best step: keep the best weights, since the loss does "
        "not fall steadily. Seeds differ by several dB."
    )
    return "\n\n".join([fill(needs, LINE), *_task_lines(recipe)])


def _task_lines(recipe: Mapping[str, Any]) -> list[str]:
    name = recipe["task"]["name"]
    if name not in TASKS:
        return []
    options = ", ".join(
        f"{key} {value}" for key, value in recipe["task"].items() if key != "name" and value is not None
    )
    scores = [
        f"{recipe[key]:.2f} dB on the {samples} samples"
        for key, samples in (("psnr_db", "trained"), ("held_psnr_db", "held-out"))
        if recipe[key] is not None
    ]
    text = (
        f"The study's task was {name} ({options}): {TASKS[name]}. The exported weights come from it and have "
        f"{' and '.join(scores)}; this file scores them, and trains anew, on all samples as they are."
    )
    return [fill(text, LINE)]


def _template(name: str) -> Template:
    return Template((files("search") / "snippets" / f"{name}.template").read_text(encoding="utf-8"))
