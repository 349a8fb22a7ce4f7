"""All benchmarks of speed, memory and scale, one after the other; prints one table at the end.

python tests/benchmarks/bench.py [--only fit --only lanes ...] [--out bench.md]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from paired import ROWS_TO, Row, to_markdown

HERE = Path(__file__).parent

PARTS = ("fit", "lanes", "busy", "tune", "scale", "long", "mlflow")


def run(part: str, rows_file: Path) -> tuple[float, int]:
    """Seconds and exit status of one benchmark."""
    began = time.monotonic()
    command = [sys.executable, str(HERE / f"bench_{part}.py")]
    ended = subprocess.run(command, env={**os.environ, ROWS_TO: str(rows_file)}, check=False)
    return time.monotonic() - began, ended.returncode


def main() -> None:
    """Run the parts and print their rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=PARTS, help="repeatable; all unless given")
    parser.add_argument("--out", type=Path, help="file for the table")
    options = parser.parse_args()
    failed = []
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as folder:
        rows_file = Path(folder) / "rows.jsonl"
        for part in options.only or PARTS:
            print(f"\nbench_{part}", flush=True)  # noqa: T201
            seconds, status = run(part, rows_file)
            print(f"({seconds:.0f} s)", flush=True)  # noqa: T201
            if status:
                failed.append(part)
        lines = rows_file.read_text(encoding="utf-8").splitlines() if rows_file.exists() else []
    table = to_markdown([Row(**json.loads(line)) for line in lines])
    print(f"\n{table}")  # noqa: T201
    if options.out:
        options.out.write_text(table + "\n", encoding="utf-8")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
