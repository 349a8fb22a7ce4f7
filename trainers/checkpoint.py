"""Tensors and plain data in one file: safetensors with a JSON header, versioned, written atomically, no pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

CHECKPOINT_FORMAT = 2
"""Raised whenever what a checkpoint holds changes its meaning."""

PARTIAL = ".partial-"
"""Between the name of a file that is being written and the writer's process."""


class CheckpointError(ValueError):
    """Bytes that are no checkpoint of this version."""


def pack(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> bytes:
    """Arrays by name and JSON-able facts as bytes."""
    metadata = {"format": str(CHECKPOINT_FORMAT), "facts": json.dumps(facts)}
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    return safetensors.numpy.save(contiguous, metadata)


def unpack(data: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """What `pack` packed.

    Raises:
        CheckpointError: damaged, foreign, or of another version.
    """
    try:
        arrays = safetensors.numpy.load(data)
        # The package reads a header from files only; it is a length (8 bytes, little-endian) and then JSON.
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        metadata = header.get("__metadata__", {})
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"a checkpoint must be a safetensors file, but: {error}") from error
    if metadata.get("format") != str(CHECKPOINT_FORMAT):
        raise CheckpointError(f"a checkpoint must be of format {CHECKPOINT_FORMAT}, but got {metadata.get('format')!r}")
    try:
        facts = json.loads(metadata.get("facts", ""))
    except ValueError as error:
        raise CheckpointError(f"a checkpoint must be written with its facts as JSON, but: {error}") from error
    if not isinstance(facts, dict):
        raise CheckpointError(f"a checkpoint must be written with an object of facts, but got {facts!r}")
    return arrays, facts


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` so that `path` holds either what it held before or all of it, whatever dies in between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}{PARTIAL}{os.getpid()}")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def remove_partials(folder: Path) -> None:
    """Remove what writers that were killed left in a folder and below it; nobody may be writing there."""
    for path in folder.rglob(f"*{PARTIAL}*"):
        path.unlink(missing_ok=True)
