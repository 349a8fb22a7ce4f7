"""What a point becomes."""

from __future__ import annotations

import pytest

from search.trial import TrialBuilder
from spaces.catalog import SPACES, build_space
from trainers.signals import Signal


@pytest.mark.parametrize("name", [name for name in SPACES if name != "any"])
def test_a_point_of_any_describes_the_network_of_its_own_space(
    name: str, builder: TrialBuilder, signal: Signal
) -> None:
    own, whole = (build_space(space, signal.spectrum(), width=16) for space in (name, "any"))
    network = builder.network(own, own.complete({}))
    assert network == builder.network(whole, whole.complete({"architecture": name}))
    assert network.architecture == name
    assert (network.width, network.depth) == (builder.width, builder.depth)
    assert "lr" not in network.knobs
    assert all(isinstance(value, float) for value in network.knobs.values())


def test_width_and_depth_are_the_points_where_it_names_them(builder: TrialBuilder, signal: Signal) -> None:
    siren = build_space("siren", signal.spectrum(), width=16)
    spec = builder.build(
        "search/0", label="#0", space=siren, point={"w_first": 30.0, "lr": 1e-3, "width": 48, "depth": 3}
    )
    assert (spec.network.width, spec.network.depth, dict(spec.network.knobs)) == (48, 3, {"w_first": 30.0})
    assert (spec.fit.lr, spec.space, spec.point["width"]) == (1e-3, "siren", 48)
