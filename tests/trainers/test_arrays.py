"""NumPy arrays: what their axes mean, how they are scaled, and files that are refused; nothing is unpickled."""

from __future__ import annotations

import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from trainers.signals import Crop, Signal, SignalError, read_signal

RNG = np.random.default_rng(5)


def saved(path: Path, array: Any, **options: Any) -> str:
    np.save(path, array, **options)
    return str(path)


def noise(*shape: int) -> NDArray[np.float64]:
    return RNG.normal(size=shape)


def on_grid(signal: Signal) -> NDArray[np.float64]:
    return signal.values.reshape(*signal.shape, signal.channels)


def message_of(source: str, crop: Crop | None = None) -> str:
    with pytest.raises(SignalError) as caught:
        read_signal(source, crop)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{source}: ")
    return message.removeprefix(f"{source}: ")


AXES: dict[str, tuple[tuple[int, ...], Crop, str, tuple[int, ...], int]] = {
    "a line": ((40,), Crop(), "audio", (40,), 1),
    "a line of one channel": ((40, 1), Crop(), "audio", (40,), 1),
    "a line of four channels": ((40, 4), Crop(), "audio", (40,), 4),
    "an image": ((8, 5), Crop(), "image", (8, 5), 1),
    "an image of RGB": ((8, 9, 3), Crop(), "image", (8, 9), 3),
    "an image of RGBA": ((8, 9, 4), Crop(), "image", (8, 9), 4),
    "a volume": ((8, 9, 5), Crop(), "volume", (8, 9, 5), 1),
    "a volume of channels": ((4, 5, 6, 7), Crop(), "volume", (4, 5, 6), 7),
    "dims 2 of a narrow image": ((40, 4), Crop(dims=2), "image", (40, 4), 1),
    "dims 1 of many channels": ((40, 30), Crop(dims=1), "audio", (40,), 30),
    "dims 2 of many channels": ((8, 9, 5), Crop(dims=2), "image", (8, 9), 5),
    "dims 3 of a flat volume": ((8, 9, 4), Crop(dims=3), "volume", (8, 9, 4), 1),
    "kind alone": ((8, 9, 4), Crop(kind="volume"), "volume", (8, 9, 4), 1),
    "kind and dims": ((8, 9, 5), Crop(kind="image", dims=2), "image", (8, 9), 5),
    "kind of many channels": ((40, 30), Crop(kind="audio"), "audio", (40,), 30),
}


@pytest.mark.parametrize(("shape", "crop", "kind", "grid", "channels"), AXES.values(), ids=list(AXES))
def test_the_axes_of_an_array_are_its_grid_and_then_its_channels(
    shape: tuple[int, ...], crop: Crop, kind: str, grid: tuple[int, ...], channels: int, tmp_path: Path
) -> None:
    array = noise(*shape)
    signal = read_signal(saved(tmp_path / "a.npy", array), crop)
    assert (signal.kind, signal.shape, signal.channels, signal.rate_hz) == (kind, grid, channels, None)
    np.testing.assert_allclose((on_grid(signal) * signal.peak + signal.offset).reshape(shape), array, atol=1e-12)


@pytest.mark.parametrize(
    ("array", "offset", "peak"),
    [
        (np.arange(100, 164, dtype=np.uint8), 127.5, 127.5),
        (np.arange(100, 164, dtype=">u2"), 32_767.5, 32_767.5),
        (np.arange(64) % 7 < 3, 0.5, 0.5),
        (np.linspace(0.2, 0.9, 64), 0.5, 0.5),
        (np.linspace(0.2, 0.9, 64, dtype=np.float16), 0.5, 0.5),
        (np.linspace(0.0, 2.0, 64), 1.0, 1.0),
        (np.linspace(-0.5, 0.5, 64), 0.0, 0.5),
        (np.arange(64, dtype=np.int64) - 4, 27.5, 31.5),
        (np.arange(64, dtype=np.int16) * 10, 315.0, 315.0),
        (np.linspace(-1.0, 1.0, 64) * 1.7e308, 0.0, 1.7e308),
    ],
    ids=["uint8", "uint16", "bool", "unit", "half", "floats", "signed", "int64", "int16", "greatest"],
)
def test_an_image_is_scaled_by_its_type_or_else_its_range(
    array: NDArray[Any], offset: float, peak: float, tmp_path: Path
) -> None:
    signal = read_signal(saved(tmp_path / "a.npy", array.reshape(8, 8)))
    assert (signal.offset, signal.peak) == (offset, peak)
    np.testing.assert_array_equal(signal.values[:, 0], (array.astype(np.float64) - offset) / peak)


@pytest.mark.parametrize("shape", [(80,), (4, 4, 5), (4, 4, 5, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.longdouble])
def test_lines_and_volumes_are_divided_by_their_greatest_magnitude(
    shape: tuple[int, ...], dtype: Any, tmp_path: Path
) -> None:
    array = (np.arange(80) * 2 - 90).astype(dtype).reshape(shape)
    signal = read_signal(saved(tmp_path / "a.npy", array))
    assert (signal.offset, signal.peak) == (0.0, 90.0)
    assert (signal.values.min(), signal.values.max()) == (-1.0, 68 / 90)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float64])
def test_a_volume_of_0_and_1_is_occupancy_unless_told_otherwise(dtype: Any, tmp_path: Path) -> None:
    inside = noise(5, 6, 7) > 0
    source = saved(tmp_path / "a.npy", inside.astype(dtype))
    signal = read_signal(source)
    assert signal.kind == "occupancy"
    np.testing.assert_array_equal(on_grid(signal)[..., 0], np.where(inside, 1.0, -1.0))
    signal = read_signal(source, Crop(kind="volume"))
    assert signal.kind == "volume"
    np.testing.assert_array_equal(on_grid(signal)[..., 0], inside)


def test_occupancy_of_other_numbers_is_refused(tmp_path: Path) -> None:
    source = saved(tmp_path / "a.npy", np.arange(64.0).reshape(4, 4, 4))
    message = message_of(source, Crop(kind="occupancy"))
    assert message == "occupancy must hold 0 and 1 alone, but got 2, 3, 4, 5"


def test_the_order_of_an_array_in_memory_does_not_matter(tmp_path: Path) -> None:
    array = noise(8, 9, 3)
    first, second = (
        read_signal(saved(tmp_path / name, a)) for name, a in (("c.npy", array), ("f.npy", np.asfortranarray(array)))
    )
    assert first.digest == second.digest


def test_a_line_is_cropped_like_a_recording_with_its_start_in_samples(tmp_path: Path) -> None:
    array = 0.01 * np.ones(500)
    array[321:361] = 0.5
    source = saved(tmp_path / "a.npy", array)
    assert read_signal(source, Crop(samples=40)).start == (230,)
    assert read_signal(source, Crop(samples=40, start=17.0)).start == (17,)
    assert read_signal(source, Crop(samples=40, start="loudest")).start == (321,)
    message = message_of(source, Crop(samples=40, start=461.0))
    assert message == "40 samples from --start must lie within its 500 samples, but got --start 461"


def test_channels_of_a_line_are_kept_unless_mono_is_asked_for(tmp_path: Path) -> None:
    array = noise(100, 2)
    source = saved(tmp_path / "a.npy", array)
    assert read_signal(source).channels == read_signal(source, Crop(channels="all")).channels == 2
    mono = read_signal(source, Crop(channels="mono"))
    np.testing.assert_allclose(mono.values[:, 0] * mono.peak, array.mean(axis=1), atol=1e-15)


def test_only_the_crop_of_a_large_array_is_read(tmp_path: Path) -> None:
    # 1 GiB that takes no room on disk: all zero but a ramp in the middle.
    path = tmp_path / "large.npy"
    large = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(512, 512, 1024))
    large[240:272, 240:272, 496:528] = np.arange(32.0)
    del large
    script = (
        "import resource, sys, tracemalloc\n"
        "import trainers.arrays\n"
        "from trainers.signals import Crop, read_signal\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "tracemalloc.start()\n"
        "signal = read_signal(sys.argv[1], Crop(box=(32,)))\n"
        "peak = tracemalloc.get_traced_memory()[1]\n"
        "grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        "print(signal.shape, signal.peak, peak < 16 << 20, grown < 256 << 10)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "(32, 32, 32) 31.0 True True\n"


def archive(path: Path, **arrays: NDArray[Any]) -> str:
    np.savez_compressed(path, **arrays)
    return str(path)


def test_the_only_array_of_an_archive_needs_no_name(tmp_path: Path) -> None:
    image = noise(8, 9)
    source = archive(tmp_path / "one.npz", depth=image)
    expected = read_signal(saved(tmp_path / "one.npy", image))
    assert read_signal(source).digest == read_signal(f"{source}:depth").digest == expected.digest
    named = read_signal(f"{source}:depth")
    assert (named.name, named.source) == ("one-depth", f"{source}:depth")


def test_an_array_of_an_archive_is_chosen_by_its_name(tmp_path: Path) -> None:
    arrays = {"left": noise(8, 9), "right:2": noise(40)}
    source = archive(tmp_path / "two.npz", **arrays)
    assert read_signal(f"{source}:left").shape == (8, 9)
    assert read_signal(f"{source}:right:2").shape == (40,)
    assert message_of(source).endswith("needs a name, FILE.npz:NAME; known arrays: left, right:2")
    assert message_of(f"{source}:up") == "unknown array 'up'; known arrays: left, right:2"
    assert message_of(f"{source}:") == "unknown array ''; known arrays: left, right:2"


def test_a_file_whose_name_looks_like_an_archives_array_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npz:b.npy"
    assert read_signal(saved(path, noise(8, 9))).shape == (8, 9)


def test_a_missing_archive_is_refused(tmp_path: Path) -> None:
    assert message_of(f"{tmp_path}/no.npz:a") == "no such file"


def test_an_archive_without_arrays_is_refused(tmp_path: Path) -> None:
    for name, members in (("empty.npz", []), ("text.npz", ["readme.txt"])):
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            for member in members:
                file.writestr(member, "text")
        for source in (f"{tmp_path}/{name}", f"{tmp_path}/{name}:a"):
            assert message_of(source) == "an .npz must hold an array, but there is none in it"


def test_a_single_array_has_no_members(tmp_path: Path) -> None:
    saved(tmp_path / "a.npy", noise(40))
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    assert read_signal(f"{tmp_path}/a.npz").shape == (40,)
    assert message_of(f"{tmp_path}/a.npz:x") == "the file must be an .npz to hold 'x', but it is one array"


class Payload:
    """What a pickle may do to whoever loads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def hold_payload(folder: Path, proof: Path) -> list[str]:
    """A payload as a plain pickle under three names, in an array, and in an archive's array."""
    payload = np.array([Payload(proof)] * 20, dtype=object)
    for name in ("plain.npy", "plain.npz", "plain"):
        (folder / name).write_bytes(pickle.dumps(payload))
    np.save(folder / "objects.npy", payload, allow_pickle=True)
    np.savez(folder / "objects.npz", good=noise(40), bad=payload)
    return [*(str(folder / name) for name in ("plain.npy", "plain.npz", "plain", "objects.npy")),
            f"{folder}/objects.npz:bad"]  # fmt: skip


def test_a_pickle_is_refused_and_never_executed(tmp_path: Path) -> None:
    proof = tmp_path / "executed"
    for source in hold_payload(tmp_path, proof):
        message = message_of(source)
        assert "never pickled" in message or "nothing pickled" in message or "its name nor its content" in message
    assert not proof.exists()
    assert read_signal(f"{tmp_path}/objects.npz:good").shape == (40,)
    np.load(tmp_path / "objects.npy", allow_pickle=True)
    assert proof.exists(), "the payload works, where someone loads it"


BAD_ARRAYS: dict[str, tuple[Any, Crop, str]] = {
    "0-D": (np.float64(3.0), Crop(), "an array must have 1 to 3 axes, and channels as its last or none, but it has 0"),
    "5-D": (np.ones((4, 4, 4, 4, 4)), Crop(), "an array must have 1 to 3 axes, and channels as its last or none, but"),
    "no samples": (np.ones((0,)), Crop(), "an array must hold samples, but its shape is (0,)"),
    "no channels": (np.ones((8, 8, 0)), Crop(), "an array must hold samples, but its shape is (8, 8, 0)"),
    "15 samples": (np.ones(15), Crop(), "at least 16 samples are needed, but it has 15"),
    "1 x N": (noise(1, 64), Crop(), "at least 4 samples along each axis are needed, but it has 1 x 64"),
    "N x 1 of two axes": (noise(64, 1), Crop(dims=2), "at least 4 samples along each axis are needed, but it has 64 x"),
    "channels first": (noise(3, 8, 9), Crop(), "at least 4 samples along each axis are needed, but it has 3 x 8 x 9"),
    "complex": (noise(8, 9) + 1j, Crop(), "an array must hold real numbers, but its type is complex128"),
    "text": (np.array(["a"] * 20), Crop(), "an array must hold real numbers, but its type is <U1"),
    "bytes": (np.array([b"a"] * 20), Crop(), "an array must hold real numbers, but its type is |S1"),
    "dates": (np.arange(20).astype("M8[s]"), Crop(), "an array must hold real numbers, but its type is datetime64[s]"),
    "fields": (np.ones(20, dtype=[("a\nb", "f8")]), Crop(), "an array must hold real numbers, but its type is ["),
    "silent": (np.zeros(40), Crop(), "a signal must not be silent, but all samples are zero"),
    "constant image": (np.full((8, 8), 0.3), Crop(), "a signal must not be constant, but all samples are 0.3"),
    "constant volume": (np.full((5, 5, 5), 2), Crop(), "a signal must not be constant, but all samples are 2"),
    "empty space": (np.zeros((5, 5, 5), bool), Crop(), "a signal must not be constant, but all samples are 0"),
    "nan": (
        np.where(np.arange(60).reshape(6, 10) == 23, np.nan, 1.0),
        Crop(),
        "every sample must be finite, but 1 are",
    ),
    "beyond float64": (np.full(20, np.longdouble("1e4000")), Crop(), "every sample must be finite, but 20 are not"),
    "dims too many": (
        noise(40),
        Crop(dims=2),
        "--dims of an array of shape (40,) must be 1, but got --dims 2",
    ),
    "dims too few": (
        noise(8, 9, 5),
        Crop(dims=1),
        "--dims of an array of shape (8, 9, 5) must be 2 or 3, but got --dims 1",
    ),
    "dims 3 of 4-D": (noise(4, 4, 4, 4), Crop(dims=2), "--dims of an array of shape (4, 4, 4, 4) must be 3, but"),
    "kind and dims differ": (noise(8, 9), Crop(dims=2, kind="audio"), "--kind must be image, which this is, but got"),
    "kind of other axes": (
        noise(40),
        Crop(kind="volume"),
        "--dims of an array of shape (40,) must be 1, but got --kind volume",
    ),
    "mono image": (noise(8, 9, 3), Crop(channels="mono"), "--channels mono is for audio, but this is of kind image"),
}


@pytest.mark.filterwarnings("ignore:Stored array in format:UserWarning")
@pytest.mark.parametrize(("array", "crop", "rule"), BAD_ARRAYS.values(), ids=list(BAD_ARRAYS))
def test_an_unusable_array_is_refused_with_the_rule_and_what_came(
    array: Any, crop: Crop, rule: str, tmp_path: Path
) -> None:
    assert message_of(saved(tmp_path / "a.npy", array), crop).startswith(rule)


def test_a_number_that_is_not_finite_is_named_by_its_place_in_the_array(tmp_path: Path) -> None:
    volume = noise(8, 8, 8)
    volume[3, 4, 5] = np.inf
    message = message_of(saved(tmp_path / "a.npy", volume), Crop(box=(4,)))
    assert message == "every sample must be finite, but 1 are not (the first is sample (3, 4, 5))"
    line = np.ones(100)
    line[57] = np.nan
    assert message_of(saved(tmp_path / "l.npy", line), Crop(samples=40)).endswith("(the first is sample 57)")


@pytest.mark.parametrize("keep", [3, 6, 40, -1])
@pytest.mark.parametrize("name", ["cut.npy", "cut.npz"])
def test_a_truncated_array_is_refused(name: str, keep: int, tmp_path: Path) -> None:
    path = tmp_path / name
    if name.endswith("y"):
        saved(path, noise(40))
    else:
        archive(path, a=noise(40))
    path.write_bytes(path.read_bytes()[:keep])
    message = message_of(str(path))
    if name.endswith("y") and keep == -1:
        assert message.startswith("the file is truncated: it must hold as many numbers as it announces, but: ")


def test_a_text_that_is_named_an_array_is_refused(tmp_path: Path) -> None:
    for name in ("text.npy", "text.npz"):
        (tmp_path / name).write_text("1, 2, 3\n" * 50)
        message = message_of(str(tmp_path / name))
        assert message == "an array must be in numpy's format, never pickled, but its content is not that"


@pytest.mark.parametrize("shape", ["(99999999999,)", "(-1, 5)", "(4294967296, 4294967296, 4)", "('a',)", "(2**99,)"])
def test_a_shape_that_the_file_cannot_have_is_refused(shape: str, tmp_path: Path) -> None:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(800)
    (tmp_path / "a.npy").write_bytes(content)
    message_of(str(tmp_path / "a.npy"))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("a.npy", content)
    message_of(str(tmp_path / "a.npz"))


def test_what_is_neither_by_name_nor_by_content_is_refused_with_what_a_signal_may_be(tmp_path: Path) -> None:
    for name, content in (("notes.txt", b"The quick brown fox. " * 100), ("zeros", bytes(4096)), ("x.bin", b"P")):
        (tmp_path / name).write_bytes(content)
        assert message_of(str(tmp_path / name)) == (
            "a signal must be audio, an image or an array (.npy, .npz), "
            "but neither its name nor its content is that of one"
        )
