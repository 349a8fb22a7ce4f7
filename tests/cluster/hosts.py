"""Hosts of a cluster: network namespaces joined by a bridge where this machine lets us, else ports of 127.0.0.1."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Host:
    """Where processes run.

    Attributes:
        ip: under which the other hosts reach it.
        prefix: of a command that is to run there.
    """

    ip: str
    prefix: tuple[str, ...] = ()


class Network:
    """Hosts that see each other.

    Attributes:
        kind: what they are, for a person.
        here: this process' own.
    """

    kind = "processes on 127.0.0.1"
    here = Host(ip="127.0.0.1")

    def add_host(self) -> Host:
        """Another one."""
        return self.here

    def close(self) -> None:
        """No more."""


class Namespaces(Network):
    """Each host a network namespace with an address of its own, all of them on one bridge."""

    kind = "network namespaces"

    def __init__(self) -> None:
        self._name = f"wn{os.getpid() % 100_000}"
        self._net = f"10.{100 + os.getpid() % 100}.{os.getpid() // 100 % 250}"
        self._num = 0
        self.here = Host(ip=f"{self._net}.1")
        ip("link", "add", self._name, "type", "bridge")
        try:
            ip("addr", "add", f"{self.here.ip}/24", "dev", self._name)
            ip("link", "set", self._name, "up")
        except OSError:
            self.close()
            raise

    def add_host(self) -> Host:
        """A namespace with a cable to the bridge."""
        self._num += 1
        name, inner, outer = (f"{self._name}{kind}{self._num}" for kind in ("-", "i", "o"))
        host = Host(ip=f"{self._net}.{1 + self._num}", prefix=("ip", "netns", "exec", name))
        ip("netns", "add", name)
        ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", name)
        ip("link", "set", outer, "master", self._name, "up")
        ip("-n", name, "addr", "add", f"{host.ip}/24", "dev", inner)
        ip("-n", name, "link", "set", inner, "up")
        ip("-n", name, "link", "set", "lo", "up")
        return host

    def close(self) -> None:
        """Cables go with their namespaces."""
        for number in range(1, self._num + 1):
            with contextlib.suppress(OSError):
                ip("netns", "del", f"{self._name}-{number}")
        with contextlib.suppress(OSError):
            ip("link", "del", self._name)


def ip(*words: str) -> None:
    """Debian's iproute2.

    Raises:
        OSError: it failed.
    """
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """The best that this machine gives."""
    made = _namespaces() if os.geteuid() == 0 and shutil.which("ip") else None
    made = made or Network()
    try:
        yield made
    finally:
        made.close()


def _namespaces() -> Network | None:
    """None where this machine does not let us."""
    made = None
    try:
        made = Namespaces()
        made.add_host()
    except OSError:  # a container that may not
        if made is not None:
            made.close()
        return None
    return made
