"""Where workers find room: the nodes of a cluster, the kinds of workers, and how many of each fit where."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from search.config import WorkerSettings

_ROUNDING = 1e-9
"""Fractions of a GPU such as a third add up to a little less than one."""

_IN = re.compile(r"in\((.*)\)")


@dataclass(frozen=True, kw_only=True)
class Node:
    """A machine of a cluster.

    Attributes:
        id: Ray's.
        name, address: for a person.
        is_alive: whether it is there.
        is_draining: whether it is about to leave: it gets no more work.
        total, free: amounts by resource ("CPU", "GPU", "memory" in bytes, and others).
        labels: that it was started with, and Ray's own.
    """

    id: str
    name: str
    address: str
    is_alive: bool = True
    is_draining: bool = False
    total: Mapping[str, float] = field(default_factory=dict)
    free: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def takes_work(self) -> bool:
        """Whether it may get a worker."""
        return self.is_alive and not self.is_draining


@dataclass(frozen=True, kw_only=True)
class WorkerKind:
    """What a worker asks of the node that it is placed on.

    Attributes:
        cpus, gpus: that it takes.
        labels: selector by label: VALUE, !VALUE, in(A,B) or !in(A,B).
    """

    cpus: int
    gpus: float
    labels: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        where = "".join(f", {key}={value}" for key, value in self.labels.items())
        return f"{self.cpus} CPUs and {self.gpus:g} GPUs{where}"

    def room(self, node: Node, amounts: Mapping[str, float]) -> int:
        """How many fit into so much of a node's resources."""
        if not node.takes_work or not has_labels(node, self.labels):
            return 0
        num = int(amounts.get("CPU", 0.0) // self.cpus)
        if not self.gpus:
            return num
        gpus = amounts.get("GPU", 0.0)
        if self.gpus >= 1:
            return min(num, int(gpus / self.gpus + _ROUNDING))
        whole, rest = divmod(gpus + _ROUNDING, 1)  # a worker's fraction is of one device
        return min(num, int(whole) * int(1 / self.gpus + _ROUNDING) + int((rest + _ROUNDING) / self.gpus))


@dataclass(frozen=True, kw_only=True)
class Demand:
    """Workers of a kind.

    Attributes:
        kind: what each asks.
        num: how many.
    """

    kind: WorkerKind
    num: int


def has_labels(node: Node, selector: Mapping[str, str]) -> bool:
    """Whether a node is chosen by a selector, as Ray reads it."""
    return all(_is_chosen(node.labels.get(key), value) for key, value in selector.items())


def _is_chosen(label: str | None, value: str) -> bool:
    is_not, value = value.startswith("!"), value.removeprefix("!")
    among = _IN.fullmatch(value)
    values = [each.strip() for each in among[1].split(",")] if among else [value]
    return (label in values) is not is_not


def demands_of(settings: WorkerSettings, nodes: Sequence[Node]) -> list[Demand]:
    """The workers that a run with these settings asks for: their number is what the nodes have, unless it is given.

    Where nothing has room for one, one is asked for, which a cluster that grows sees.
    """
    labels = settings.labels
    here = [node for node in nodes if node.takes_work and has_labels(node, labels)]
    gpus = settings.gpus_per_worker
    if gpus is None:
        gpus = float(any(node.total.get("GPU", 0.0) >= 1 for node in here))
    kind = WorkerKind(cpus=settings.cpus_per_worker, gpus=gpus, labels=labels)
    num = settings.workers if settings.workers is not None else max(1, sum(kind.room(n, n.total) for n in here))
    demands = [Demand(kind=kind, num=num)]
    if settings.cpu_workers:
        beside = WorkerKind(cpus=settings.cpus_per_worker, gpus=0.0, labels=labels)
        demands.append(Demand(kind=beside, num=settings.cpu_workers))
    return demands


def never_placed(demands: Sequence[Demand], nodes: Sequence[Node]) -> WorkerKind | None:
    """The first kind of which no node has room for one, even where all are idle."""
    for demand in demands:
        if not any(demand.kind.room(node, node.total) for node in nodes):
            return demand.kind
    return None


def place(demands: Sequence[Demand], nodes: Sequence[Node]) -> list[dict[str, int]]:
    """How many of each demand find room in what is free now, by node's id; the others would wait."""
    free = {node.id: dict(node.free) for node in nodes}
    placed: list[dict[str, int]] = []
    for kind, left in ((demand.kind, demand.num) for demand in demands):
        on: dict[str, int] = {}
        for node in sorted(nodes, key=lambda each: each.total.get("GPU", 0.0) if not kind.gpus else 0.0):
            num = min(left, kind.room(node, free[node.id]))
            if num:
                on[node.id] = num
                left -= num
                free[node.id]["CPU"] -= num * kind.cpus
                free[node.id]["GPU"] = free[node.id].get("GPU", 0.0) - num * kind.gpus
        placed.append(on)
    return placed
