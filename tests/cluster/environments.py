"""Two Pythons beside the tests' own, made in seconds: one of a cluster, which lacks our packages, one with our wheel.

Both see the libraries that are installed here, entry by entry, and nothing that an editable install has put there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]


def build_wheel(folder: Path) -> Path:
    """Our packages as a wheel."""
    build_tree = folder / "source"
    copied = ["pyproject.toml", "README.md", "LICENSE", "spaces", "trainers", "search"]
    build_tree.mkdir(parents=True)
    for name in copied:  # a copy: setuptools writes beside what it builds
        subprocess.run(["cp", "-r", str(ROOT / name), str(build_tree / name)], check=True)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(build_tree)], check=True, env=plain_environment())
    [wheel] = folder.glob("*.whl")
    return wheel


def build_python(folder: Path, wheel: Path | None = None) -> Path:
    """A virtual environment with this one's libraries and, if given, the wheel; its interpreter."""
    venv.EnvBuilder(symlinks=True).create(folder)
    python = folder / "bin" / "python"
    own = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(("__editable__", "__pycache__", "winnow_inr", "pip")):
            (own / entry.name).symlink_to(entry)
    if wheel is not None:
        command = [sys.executable, "-m", "pip", "--quiet", "--python", str(python), "install"]
        subprocess.run([*command, "--no-deps", "--no-index", str(wheel)], check=True, env=plain_environment())
    return python


def plain_environment(python: Path | None = None) -> dict[str, str]:
    """This process' variables without what leads to the checkout or to another Ray; `python` is found first."""
    leads = ("PYTHONPATH", "VIRTUAL_ENV", "RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    plain = {name: value for name, value in os.environ.items() if name not in leads}
    if python is not None:
        plain["PATH"] = f"{python.parent}{os.pathsep}{plain['PATH']}"
    return plain
