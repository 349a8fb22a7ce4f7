"""The tutorial's commands, one after the other on Debian's recordings: do they print what the page says?

    python tests/benchmarks/tutorial.py [FOLDER]

Needs alsa-utils, and a while; a FOLDER that has run before continues. The searches are deterministic on
one kind of CPU: on another, figures differ in all that follows from rounding. Exit code 1 where a line differs.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial.md"

NOT_RUN = ("apt-get", "aplay", "winnow ui")
"""What installs, plays or serves."""

BY_CHANCE = re.compile(r" +\d[\d.]* (?:ms|s)\b|(?<=another seed: ).*")
"""Figures that differ each time: what took how long, and a fit whose seed is drawn."""


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each command of the page, and the lines that it prints."""
    for block in re.findall(r"^```console\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for text in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *printed = text.splitlines()
            yield command, printed


def run(command: str, folder: Path) -> list[str]:
    """What a command prints on standard output, without blanks at the ends of lines."""
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": paths, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    command = re.sub(r"^winnow ", "python -m search ", command)
    done = subprocess.run(command, shell=True, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"exit code {done.returncode}: {command}")
    return [line.rstrip() for line in done.stdout.strip("\n").splitlines()]


def main() -> None:
    """Print the lines that differ."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="winnow-tutorial-"))
    folder.mkdir(parents=True, exist_ok=True)
    num_different = 0
    for command, expected in commands():
        if command.startswith(NOT_RUN):
            continue
        sys.stdout.write(f"$ {command}\n")
        both = [[BY_CHANCE.sub("", line) for line in lines] for lines in (expected, run(command, folder))]
        different = list(difflib.unified_diff(*both, "tutorial", "printed", lineterm="", n=0))
        num_different += bool(different)
        sys.stdout.write("\n".join(different or ["  as the page says"]) + "\n")
        sys.stdout.flush()
    sys.exit(1 if num_different else 0)


if __name__ == "__main__":
    main()
