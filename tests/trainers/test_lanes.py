import pytest
import torch

from trainers import lanes
from trainers.config import NetworkConfig
from trainers.fit import FitStack
from trainers.lanes import lanes_that_pay, measure_lanes
from trainers.tasks import Task


@pytest.mark.parametrize(
    ("rates", "best"),
    [
        ({1: 100.0, 2: 101.0}, 1),
        ({1: 100.0, 2: 190.0, 4: 370.0, 8: 380.0}, 4),
        ({1: 100.0}, 1),
        ({1: 100.0, 2: 200.0}, 2),
    ],
    ids=["none pays", "until eight", "no room for two", "no room for four"],
)
def test_lanes_are_doubled_while_that_pays(rates: dict[int, float], best: int) -> None:
    assert lanes_that_pay(rates) == best


def test_on_a_cpu_lanes_take_turns_so_more_than_one_are_no_faster(
    small: Task, network: NetworkConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "PAYS", 1.6)  # turns give a ratio of 1, on a busy machine as well
    rates = measure_lanes(small, network, "cpu")
    assert list(rates) == [1, 2]
    assert lanes_that_pay(rates) == 1


def test_lanes_for_which_there_is_no_room_do_not_pay(
    small: Task, network: NetworkConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "PAYS", 0.0)
    start = FitStack.start

    def start_in_little_room(stack: FitStack, lane: int, *args: object) -> None:
        if lane >= 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        start(stack, lane, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(FitStack, "start", start_in_little_room)
    assert list(measure_lanes(small, network, "cpu")) == [1, 2, 4]


def test_a_network_that_has_no_room_alone_is_said_so(
    small: Task, network: NetworkConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(FitStack, "start", fail)
    with pytest.raises(torch.OutOfMemoryError):
        measure_lanes(small, network, "cpu")
