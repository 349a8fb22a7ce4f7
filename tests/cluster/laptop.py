"""The submitting side of a cluster's tests."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from environments import plain_environment


@dataclass(frozen=True, kw_only=True)
class Laptop:
    """The submitting side: a folder with no checkout in it, and an environment with our wheel.

    Attributes:
        folder: where commands run.
        winnow: the console script.
        environment: with the cluster's token, and MLflow's user and password.
    """

    folder: Path
    winnow: Path
    environment: dict[str, str]

    @classmethod
    def of(cls, python: Path, folder: Path, cluster: Mapping[str, str], **more: str) -> Laptop:
        """With the token of a cluster, and more variables."""
        token = {name: cluster[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
        environment = {**plain_environment(python), **token, **more}
        return cls(folder=folder, winnow=python.with_name("winnow"), environment=environment)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A command, which goes on."""
        pipe = subprocess.PIPE
        command = [str(self.winnow), *words]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=pipe, stderr=pipe, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # as a terminal has it
        )  # fmt: skip

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """A command to its end; keyword arguments are variables, and an empty one is unset."""
        environment = {name: value for name, value in {**self.environment, **more}.items() if value}
        command = [str(self.winnow), *words]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
