"""A machine of a test's own on this machine: its processes, its ports and its home are nobody else's.

`ray stop` and `ray symmetric-run` look at all Rays of a machine, and the documented ports are taken only once: so what
is documented runs word by word in namespaces of Linux, and everything in them ends with them.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

import psutil
from manifests import ROOT

UNSHARE = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
UNSHARE += [] if hasattr(os, "geteuid") and os.geteuid() == 0 else ["--map-root-user"]


def can_isolate() -> bool:
    """Whether this machine lets us make namespaces, and ours get a loopback."""
    if not (shutil.which("unshare") and shutil.which("ip")):
        return False
    return subprocess.run([*UNSHARE, "ip", "link", "set", "lo", "up"], check=False, capture_output=True).returncode == 0


class Sandbox:
    """Runs a script in namespaces of its own.

    Attributes:
        home: the user's home, and where scripts run.
    """

    def __init__(self) -> None:
        # Not in pytest's folder: the name of a socket has at most 107 characters, and Ray's are long.
        self._folder = Path(tempfile.mkdtemp(prefix="wn-"))
        self.home = self._folder / "home"
        self.home.mkdir()
        self._process: subprocess.Popen[str] | None = None
        self.log = self._folder / "log"

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._folder)

    def start(self, script: str, *, path: Path | None = None, **variables: str) -> None:
        """Start a bash script; what it says goes to `log`.

        Args:
            script: its text.
            path: folder whose programs come before all others.
            variables: of its environment, which has nothing else of ours.
        """
        before = [str(path)] if path else []
        environment = {
            "HOME": str(self.home),
            "PATH": ":".join([*before, str(Path(sys.executable).parent), "/usr/sbin:/usr/bin:/sbin:/bin"]),
            "PYTHONPATH": str(ROOT),
            "RAY_TMPDIR": str(self._folder),
            "LC_ALL": "C.UTF-8",
            **variables,
        }
        command = [*UNSHARE, "bash", "-c", f"ip link set lo up\n{script}"]
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                command, cwd=self.home, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, text=True
            )

    def wait(self, seconds: float) -> int:
        """The script's exit code."""
        assert self._process
        return self._process.wait(timeout=seconds)

    def is_running(self) -> bool:
        """Whether the script is."""
        return self._process is not None and self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the script itself."""
        assert self._process
        [script] = psutil.Process(self._process.pid).children()
        script.send_signal(number)

    def kill(self) -> None:
        """End everything that runs in it at once, as a machine does that is switched off."""
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._process = None
