"""What a cluster has, what of it is free, and what a run would use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from search.config import WorkerSettings
from search.placement import Node, demands_of, place
from search.ray_session import can_grow, connect, look_around

GIB = 2**30

SHOWN_APART = ("CPU", "GPU", "memory", "object_store_memory")
"""Resources with a column or none; beside them and Ray's own of each node (`node:...`), users name theirs."""

RAYS_OWN = "ray.io/"
"""Labels that Ray gives to every node."""


def describe_cluster(settings: WorkerSettings) -> dict[str, Any]:
    """The document of `winnow cluster`.

    Args:
        settings: the cluster's address (None: a Ray of this machine), and what a run's workers would ask.

    Raises:
        WorkersError: no cluster that takes us answers there.
    """
    leave = connect(settings)
    try:
        nodes, grows = look_around(), can_grow(settings)
    finally:
        leave()
    return to_document(settings, nodes, grows=grows)


def to_document(settings: WorkerSettings, nodes: Sequence[Node], *, grows: bool) -> dict[str, Any]:
    """The nodes, those that take work first, and the workers that a run with these settings would place on them."""
    demands = demands_of(settings, nodes)
    placed = place(demands, nodes)
    ordered = sorted(nodes, key=lambda node: (not node.takes_work, not node.is_alive, node.name))
    return {
        "address": settings.address,
        "grows": grows,
        "nodes": [_node(node, sum(on.get(node.id, 0) for on in placed)) for node in ordered],
        "workers": [
            {
                "cpus": demand.kind.cpus,
                "gpus": demand.kind.gpus,
                "labels": dict(demand.kind.labels),
                "asked": demand.num,
                "placed": sum(on.values()),
                "waiting": demand.num - sum(on.values()),
                "fits_nowhere": not any(demand.kind.room(node, node.total) for node in nodes),
            }
            for demand, on in zip(demands, placed, strict=True)
        ],
    }


def _node(node: Node, workers: int) -> dict[str, Any]:
    def amounts(name: str, unit: float = 1.0) -> dict[str, float]:
        free = node.free if node.is_alive else {}
        return {"total": node.total.get(name, 0.0) / unit, "free": free.get(name, 0.0) / unit}

    own = {key: value for key, value in node.total.items() if key not in SHOWN_APART and not key.startswith("node:")}
    return {
        "name": node.name,
        "address": node.address,
        "state": "dead" if not node.is_alive else "draining" if node.is_draining else "alive",
        "cpus": amounts("CPU"),
        "gpus": amounts("GPU"),
        "memory_gib": amounts("memory", GIB),
        "resources": own,
        "labels": {key: value for key, value in node.labels.items() if not key.startswith(RAYS_OWN)},
        "workers": workers,
    }


def lines_of(document: Mapping[str, Any]) -> list[str]:
    """The document for a person: a line a node, and one for each kind of workers."""
    there = [node for node in document["nodes"] if node["state"] != "dead"]
    gone = len(document["nodes"]) - len(there)
    title = f"{document['address'] or 'this machine'}: {len(there)} node{'s' if len(there) != 1 else ''}, "
    title += f"{_sum(there, 'cpus')} CPUs and {_sum(there, 'gpus')} GPUs free"
    title += f"; {gone} left" if gone else ""
    title += "; an autoscaler may bring more" if document["grows"] else ""
    lines = [title]
    for node in there:
        state = "" if node["state"] == "alive" else f" ({node['state']})"
        own = [f"{key} {value:g}" for key, value in node["resources"].items()]
        own += [f"{key}={value}" for key, value in node["labels"].items()]
        lines.append(
            f"  {node['name']} {node['address']}{state}: {_spell(node['cpus'])} CPUs, {_spell(node['gpus'])} GPUs and "
            f"{_spell(node['memory_gib'])} GiB free"
            f"{', ' + ', '.join(own) if own else ''}{'; workers: ' + str(node['workers']) if node['workers'] else ''}"
        )
    for kind in document["workers"]:
        on = "".join(f", {key}={value}" for key, value in kind["labels"].items())
        line = f"a run would ask for {kind['asked']} workers of {kind['cpus']} CPUs and {kind['gpus']:g} GPUs{on}: "
        line += f"{kind['placed']} have room now"
        if kind["waiting"]:
            line += f", {kind['waiting']} would wait"
        if kind["fits_nowhere"]:
            line += (
                " for the cluster to grow" if document["grows"] else "; no node is large enough: it would be refused"
            )
        lines.append(line)
    return lines


def _sum(nodes: Sequence[Mapping[str, Any]], name: str) -> str:
    free, total = (sum(node[name][key] for node in nodes) for key in ("free", "total"))
    return _spell({"free": free, "total": total})


def _spell(amounts: Mapping[str, float]) -> str:
    """`3 of 4`, free of all."""
    return f"{amounts['free']:.3g} of {amounts['total']:.3g}"
