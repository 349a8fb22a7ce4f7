import json
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray

from trainers.checkpoint import CheckpointError, pack, unpack, write_atomically

FACTS = {"step": 3, "best_mse": None, "curve": [[0, 1.5], [1, 2.25]], "name": "größe", "nested": {"a": [True]}}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "int64", "uint8", "bool", "complex64"])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 3, 4), (0, 3)])
def test_an_array_survives_with_its_type_and_shape(dtype: str, shape: tuple[int, ...]) -> None:
    array = (np.arange(np.prod(shape, dtype=int)).reshape(shape) % 3).astype(dtype)
    arrays, _ = unpack(pack({"x": array}, {}))
    assert arrays["x"].shape == shape
    assert arrays["x"].dtype == dtype
    np.testing.assert_array_equal(arrays["x"], array)


@pytest.mark.parametrize(
    "view",
    [np.arange(12.0).reshape(3, 4).T, np.arange(12.0)[::2], np.arange(12.0)[::-1], np.broadcast_to(3.0, (2, 2))],
    ids=["transposed", "strided", "reversed", "broadcast"],
)
def test_a_view_survives_as_what_it_shows(view: NDArray[Any]) -> None:
    np.testing.assert_array_equal(unpack(pack({"x": view}, {}))[0]["x"], view)


def test_not_finite_numbers_survive_bit_for_bit() -> None:
    array = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324])
    assert unpack(pack({"x": array}, {}))[0]["x"].tobytes() == array.tobytes()


def test_facts_survive_as_json() -> None:
    assert unpack(pack({}, FACTS))[1] == FACTS


def test_names_survive() -> None:
    names = {"weights/weight0", "adam/exp_avg/bias1", "größe"}
    assert set(unpack(pack(dict.fromkeys(names, np.ones(2)), {}))[0]) == names


def test_unpacked_arrays_are_those_of_the_file_and_not_the_callers() -> None:
    array = np.ones(3)
    data = pack({"x": array}, {})
    array[:] = 2.0
    assert unpack(data)[0]["x"].tolist() == [1.0, 1.0, 1.0]


class Trap:
    """Makes a folder where it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.folder),))


GOOD = pack({"x": np.arange(20.0)}, FACTS)
LENGTH = int.from_bytes(GOOD[:8], "little")


def with_metadata(metadata: dict[str, str] | None) -> bytes:
    return safetensors.numpy.save({"x": np.ones(2)}, metadata)


DAMAGED = {
    "nothing": b"",
    "a few bytes": b"\x00\x01\x02",
    "text": b"The quick brown fox jumps over the lazy dog.",
    "zeros": bytes(1000),
    "ones": b"\xff" * 1000,
    "pickle": pickle.dumps({"x": np.arange(20.0)}),
    "old pickle": pickle.dumps({"x": list(range(1000))}, protocol=0),
    "half": GOOD[: len(GOOD) // 2],
    "without the last byte": GOOD[:-1],
    "with one byte more": GOOD + b"\x00",
    "half a header": GOOD[: LENGTH // 2],
    "a header alone": GOOD[: 8 + LENGTH],
    "a header that is a list": struct.pack("<Q", 2) + b"[]",
    "a header that is no json": struct.pack("<Q", 4) + b"{]}[",
    "an enormous header": struct.pack("<Q", 2**62) + GOOD[8:],
    "an array beyond the end": GOOD.replace(b"[0,160]", b"[0,960]"),
    "no metadata": with_metadata(None),
    "another format": with_metadata({"format": "1", "facts": "{}"}),
    "no format": with_metadata({"facts": "{}"}),
    "a format in words": with_metadata({"format": "one", "facts": "{}"}),
    "no facts": with_metadata({"format": "2"}),
    "facts that are no json": with_metadata({"format": "2", "facts": "{"}),
    "facts that are no object": with_metadata({"format": "2", "facts": "[]"}),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=list(DAMAGED))
def test_bytes_that_are_no_checkpoint_are_refused(data: bytes) -> None:
    assert data != GOOD
    with pytest.raises(CheckpointError, match="a checkpoint must be") as caught:
        unpack(data)
    assert "\n" not in str(caught.value)


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    data = pickle.dumps(Trap(tmp_path / "sprung"))
    with pytest.raises(CheckpointError):
        unpack(data)
    assert not (tmp_path / "sprung").exists()
    pickle.loads(data)
    assert (tmp_path / "sprung").exists()


def test_another_format_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"^a checkpoint must be of format 2, but got '1'$"):
        unpack(with_metadata({"format": "1", "facts": "{}"}))


@pytest.mark.parametrize("position", range(8, len(GOOD), 23))
def test_a_flipped_byte_is_refused_or_changes_what_is_read_and_nothing_worse(position: int) -> None:
    data = bytearray(GOOD)
    data[position] ^= 0x55
    try:
        arrays, facts = unpack(bytes(data))
    except CheckpointError:
        return
    assert isinstance(facts, dict)
    assert all(isinstance(array, np.ndarray) for array in arrays.values())


def test_safetensors_itself_reads_a_checkpoint() -> None:
    assert safetensors.numpy.load(GOOD)["x"].tolist() == np.arange(20.0).tolist()
    assert json.loads(GOOD[8 : 8 + LENGTH])["__metadata__"]["format"] == "2"


def test_a_file_is_written_whole_and_alone(tmp_path: Path) -> None:
    write_atomically(tmp_path / "new" / "folder" / "trial.safetensors", GOOD)
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["trial.safetensors"]
    assert (tmp_path / "new" / "folder" / "trial.safetensors").read_bytes() == GOOD


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "trial.safetensors"
    write_atomically(path, b"old and longer")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_of_the_old_file_keeps_the_old_bytes(tmp_path: Path) -> None:
    path = tmp_path / "trial.safetensors"
    write_atomically(path, b"old")
    with path.open("rb") as file:
        write_atomically(path, b"new")
        assert file.read() == b"old"


def test_a_write_that_fails_leaves_the_old_file_and_no_partial_one(tmp_path: Path) -> None:
    path = tmp_path / "trial.safetensors"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
