"""Laws as JSON files: what `winnow calibrate` writes and `--heuristic law.json` reads."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from search.errors import first_line
from spaces.calibrated import STRICT, CalibratedLaw
from spaces.laws import LawError
from trainers.checkpoint import write_atomically

MAX_BYTES = 1 << 20
"""Of a law's file."""


@dataclass(frozen=True, kw_only=True)
class _File:
    """What stands in it; nothing of it is run. The formulas are spelled for people."""

    __pydantic_config__ = STRICT

    format: Literal[1] = 1  # raised whenever what it holds changes its meaning
    law: CalibratedLaw
    formulas: list[str] = field(default_factory=list)


_ADAPTER = TypeAdapter(_File)


def write_law(path: Path, law: CalibratedLaw) -> None:
    """Write a law's file.

    Raises:
        OSError: it cannot be written.
    """
    content = _File(law=replace(law, is_everywhere=False, is_variant=False), formulas=law.spell())
    write_atomically(path, _ADAPTER.dump_json(content, indent=2) + b"\n")


def read_law(path: Path) -> CalibratedLaw:
    """The law in a file, which applies only where it is asked for.

    Raises:
        LawError: no such file, or what it holds is no law of this format.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would wait, a device may never end
            raise LawError(f"{path}: a law must be a regular file")
        if path.stat().st_size > MAX_BYTES:
            raise LawError(f"{path}: a law must be of at most {MAX_BYTES} bytes, but has {path.stat().st_size}")
        content = _ADAPTER.validate_json(path.read_bytes())
    except FileNotFoundError:
        raise LawError(f"{path}: no such file") from None
    except OSError as error:
        raise LawError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise LawError(f"{path}: {_rule(error.errors()[0])}") from error
    return replace(content.law, is_everywhere=False, is_variant=True)


def _rule(error: Any) -> str:
    """The first broken rule of a law's file, then what came."""
    where = ".".join(str(part) for part in error["loc"]) or "a law"
    if error["type"] == "value_error":
        return f"{where}: {first_line(error['ctx']['error'])}"
    got = f", but got {error['input']!r:.80}" if error["type"] not in ("missing", "json_invalid") else ""
    return f"{where}: {error['msg'][:1].lower()}{error['msg'][1:]}{got}"
