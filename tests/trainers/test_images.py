"""Images: exact values of every mode, and files that are refused."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile

from trainers.images import shrink_png
from trainers.signals import Crop, Signal, SignalError, read_signal

RNG = np.random.default_rng(5)
GREY = RNG.integers(0, 256, (12, 20)).astype(np.uint8)
RGB = RNG.integers(0, 256, (12, 20, 3)).astype(np.uint8)
RGBA = RNG.integers(0, 256, (12, 20, 4)).astype(np.uint8)
DEEP = RNG.integers(0, 65_536, (12, 20)).astype(np.uint16)


def saved(path: Path, image: Image.Image | NDArray[Any], **options: Any) -> str:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(path, **options)
    return str(path)


def on_grid(signal: Signal) -> NDArray[np.float64]:
    return signal.values.reshape(*signal.shape, signal.channels)


def message_of(source: str, crop: Crop | None = None) -> str:
    with pytest.raises(SignalError) as caught:
        read_signal(source, crop)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{source}: ")
    return message.removeprefix(f"{source}: ")


def test_black_is_minus_one_and_white_is_one_whatever_the_image_holds(tmp_path: Path) -> None:
    dim = np.full((8, 8), 51, dtype=np.uint8)
    dim[0, 0] = 0
    signal = read_signal(saved(tmp_path / "dim.png", dim))
    assert on_grid(signal)[..., 0][0, :2].tolist() == [-1.0, -0.6]
    assert (signal.peak, signal.offset, signal.rate_hz) == (127.5, 127.5, None)


def test_a_16_bit_png_keeps_all_of_its_bits(tmp_path: Path) -> None:
    signal = read_signal(saved(tmp_path / "deep.png", DEEP))
    np.testing.assert_array_equal(on_grid(signal)[..., 0], (DEEP - 32_767.5) / 32_767.5)
    np.testing.assert_allclose(on_grid(signal)[..., 0], 2 * (DEEP / 65_535) - 1, atol=1e-15)


def test_a_big_endian_16_bit_tiff_is_read_to_the_same_values(tmp_path: Path) -> None:
    big = Image.frombytes("I;16B", (20, 12), DEEP.astype(">u2").tobytes())
    first, second = (
        read_signal(source) for source in (saved(tmp_path / "big.tif", big), saved(tmp_path / "little.tif", DEEP))
    )
    assert first.digest == second.digest


def test_a_float_tiff_within_zero_and_one_is_taken_as_it_is(tmp_path: Path) -> None:
    floats = np.linspace(0.25, 0.75, 240, dtype=np.float32).reshape(12, 20)
    signal = read_signal(saved(tmp_path / "floats.tif", floats))
    np.testing.assert_allclose(on_grid(signal)[..., 0], 2.0 * floats - 1.0, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_other_floats_and_32_bit_integers_run_from_their_least_to_their_greatest(dtype: Any, tmp_path: Path) -> None:
    numbers = np.arange(-40, 200).reshape(12, 20).astype(dtype)
    signal = read_signal(saved(tmp_path / "numbers.tif", numbers))
    assert (signal.values.min(), signal.values.max()) == (-1.0, 1.0)
    np.testing.assert_allclose(signal.values[:, 0] * signal.peak + signal.offset, numbers.reshape(-1), atol=1e-12)


def test_an_image_of_one_bit_is_black_and_white(tmp_path: Path) -> None:
    bits = Image.fromarray(GREY > 128)
    assert bits.mode == "1"
    signal = read_signal(saved(tmp_path / "bits.png", bits))
    np.testing.assert_array_equal(on_grid(signal)[..., 0], np.where(GREY > 128, 1.0, -1.0))


def test_a_palette_is_read_as_its_colours(tmp_path: Path) -> None:
    palette = Image.fromarray(RGB).quantize(16)
    signal = read_signal(saved(tmp_path / "palette.png", palette))
    np.testing.assert_array_equal(on_grid(signal) * 127.5 + 127.5, np.asarray(palette.convert("RGB")))


def test_a_transparent_colour_of_a_palette_becomes_an_alpha_channel(tmp_path: Path) -> None:
    palette = Image.fromarray(RGB).quantize(16)
    signal = read_signal(saved(tmp_path / "palette.png", palette, transparency=3))
    assert signal.channels == 4
    np.testing.assert_array_equal(on_grid(signal)[..., 3], np.where(np.asarray(palette) == 3, -1.0, 1.0))


@pytest.mark.parametrize(("image", "key"), [(GREY, int(GREY[3, 4])), (DEEP, int(DEEP[3, 4]))], ids=["8 bit", "16 bit"])
def test_a_transparent_grey_becomes_an_alpha_channel(image: NDArray[Any], key: int, tmp_path: Path) -> None:
    signal = read_signal(saved(tmp_path / "key.png", image, transparency=key))
    assert signal.channels == 2
    np.testing.assert_array_equal(on_grid(signal)[..., 1], np.where(image == key, -1.0, 1.0))


@pytest.mark.parametrize(("values", "channels"), [(RGBA, 4), (RGBA[..., :2], 2)], ids=["RGBA", "LA"])
def test_alpha_is_kept_unless_it_is_opaque(values: NDArray[Any], channels: int, tmp_path: Path) -> None:
    signal = read_signal(saved(tmp_path / "alpha.png", values))
    np.testing.assert_array_equal(on_grid(signal) * 127.5 + 127.5, values)
    opaque = values.copy()
    opaque[..., -1] = 255
    signal = read_signal(saved(tmp_path / "opaque.png", opaque))
    assert signal.channels == channels - 1
    np.testing.assert_array_equal(on_grid(signal) * 127.5 + 127.5, opaque[..., :-1])


def test_alpha_that_is_opaque_within_the_crop_is_left_out(tmp_path: Path) -> None:
    values = RGBA.copy()
    values[3:-3, 3:-3, 3] = 255
    source = saved(tmp_path / "frame.png", values)
    assert read_signal(source).channels == 4
    assert read_signal(source, Crop(box=(6, 14))).channels == 3


@pytest.mark.parametrize(("mode", "suffix"), [("CMYK", "tif"), ("CMYK", "jpg"), ("YCbCr", "tif"), ("LAB", "tif")])
def test_other_colours_are_read_as_rgb(mode: str, suffix: str, tmp_path: Path) -> None:
    source = saved(tmp_path / f"colour.{suffix}", Image.fromarray(RGB).convert("YCbCr" if mode == "YCbCr" else "CMYK")
                   if mode != "LAB" else Image.frombytes("LAB", (20, 12), RGB.tobytes()))  # fmt: skip
    with Image.open(source) as image:
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(on_grid(read_signal(source)) * 127.5 + 127.5, expected)


def test_a_jpeg_is_read(tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:48, 0:64]
    smooth = (127 + 60 * np.sin(rows / 9) + 60 * np.cos(columns / 11)).astype(np.uint8)
    signal = read_signal(saved(tmp_path / "smooth.jpg", smooth, quality=95))
    assert signal.shape == (48, 64)
    assert np.abs(on_grid(signal)[..., 0] * 127.5 + 127.5 - smooth).max() < 8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image", [RGB, DEEP], ids=["8 bit", "16 bit"])
def test_the_orientation_of_a_camera_is_applied(orientation: int, image: NDArray[Any], tmp_path: Path) -> None:
    upright = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1), 6: lambda a: np.rot90(a, -1), 7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90,
    }[orientation](image)  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    source = saved(tmp_path / "camera.png", image, exif=exif)
    expected = read_signal(saved(tmp_path / "upright.png", np.ascontiguousarray(upright)))
    assert read_signal(source).digest == expected.digest
    box = (expected.shape[0] - 3, expected.shape[1] - 5)
    np.testing.assert_array_equal(
        on_grid(read_signal(source, Crop(box=box))), on_grid(expected)[1 : 1 + box[0], 2 : 2 + box[1]]
    )


def test_a_gif_of_one_frame_is_read_and_an_animated_one_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    assert read_signal(saved(tmp_path / "one.gif", frames[0])).shape == (12, 20)
    for suffix in ("gif", "webp", "tif", "png"):
        source = saved(tmp_path / f"two.{suffix}", frames[0], save_all=True, append_images=frames[1:])
        assert message_of(source) == "an image must have one frame, but it has 2; save one of them, or all as .npy"


def test_a_cameras_previews_are_not_frames(tmp_path: Path) -> None:
    source = saved(tmp_path / "camera.jpg", Image.fromarray(GREY), format="MPO", save_all=True,
                   append_images=[Image.fromarray(GREY[:6, :10])])  # fmt: skip
    with Image.open(source) as image:
        assert (image.format, image.n_frames) == ("MPO", 2)  # type: ignore[attr-defined]
    assert read_signal(source).shape == (12, 20)


def declared_png(path: Path, columns: int, rows: int) -> str:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return str(path)


@pytest.mark.parametrize("name", ["huge.png", "huge"])
def test_an_image_that_announces_too_many_pixels_is_refused_before_it_is_read(name: str, tmp_path: Path) -> None:
    message = message_of(declared_png(tmp_path / name, 100_000, 100_000))
    assert message.startswith("an image must have few enough pixels to be read, but: Image size (10000000000 pixels)")


def test_an_image_that_announces_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    assert message_of(declared_png(tmp_path / "large.png", 4000, 3000)).startswith(
        "a signal must be an image that Pillow reads, but: image file is truncated"
    )


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "webp"])
def test_a_truncated_image_is_refused(suffix: str, tmp_path: Path) -> None:
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    path = Path(saved(tmp_path / f"cut.{suffix}", np.tile(RGB, (10, 10, 1))))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert message_of(str(path)).startswith("a signal must be an image that Pillow reads, but: ")


@pytest.mark.parametrize("content", [b"The quick brown fox. " * 100, bytes(4096), b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe"])
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_a_file_that_is_named_an_image_but_is_none_is_refused(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"text.{suffix}"
    path.write_bytes(content)
    assert message_of(str(path)).startswith("a signal must be an image that Pillow reads, but: ")


def test_postscript_is_not_given_to_an_interpreter(tmp_path: Path) -> None:
    (tmp_path / "page.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\nshowpage\n")
    assert message_of(str(tmp_path / "page.eps")).startswith("a signal must be audio, an image or an array")


@pytest.mark.parametrize("shape", [(1, 64), (64, 1), (3, 64), (1, 1)])
def test_an_image_with_an_axis_of_under_four_samples_is_refused(shape: tuple[int, int], tmp_path: Path) -> None:
    source = saved(tmp_path / "thin.png", np.arange(np.prod(shape), dtype=np.uint8).reshape(shape))
    spelled = f"{shape[0]} x {shape[1]}"
    assert message_of(source) == f"at least 4 samples along each axis are needed, but it has {spelled}"


def test_an_image_of_four_by_four_is_read(tmp_path: Path) -> None:
    assert read_signal(saved(tmp_path / "small.png", GREY[:4, :4])).num_samples == 16


def test_a_constant_image_is_refused(tmp_path: Path) -> None:
    colour = np.full((8, 8, 3), [10, 20, 30], dtype=np.uint8)
    message = message_of(saved(tmp_path / "constant.png", colour))
    assert message == "a signal must not be constant, but all samples are 10, 20, 30"


def test_a_constant_crop_is_refused_with_advice(tmp_path: Path) -> None:
    framed = np.zeros((20, 20), dtype=np.uint8)
    framed[0] = 255
    assert message_of(saved(tmp_path / "framed.png", framed), Crop(box=(8,))) == (
        "a signal must not be constant, but all samples of the middle 8 x 8 of 20 x 20 are 0; "
        "choose another with --crop"
    )


def test_a_pixel_that_is_not_finite_is_named_by_its_place_in_the_image(tmp_path: Path) -> None:
    floats = RNG.uniform(size=(12, 20)).astype(np.float32)
    floats[5, 7] = np.nan
    for crop in (Crop(), Crop(box=(8, 10))):
        message = message_of(saved(tmp_path / "nan.tif", floats), crop)
        assert message == "every sample must be finite, but 1 are not (the first is sample (5, 7))"


@pytest.mark.parametrize(
    ("box", "rule"),
    [
        ((3,), "--crop must be from 4 samples along each axis to the 12 x 20 that there are, but got 3"),
        ((4, 3), "--crop must be from 4 samples along each axis to the 12 x 20 that there are, but got 4x3"),
        ((13,), "--crop must be from 4 samples along each axis to the 12 x 20 that there are, but got 13"),
        ((12, 21), "--crop must be from 4 samples along each axis to the 12 x 20 that there are, but got 12x21"),
        ((0, 0), "--crop must be from 4 samples along each axis to the 12 x 20 that there are, but got 0x0"),
        ((8, 8, 8), "--crop must name one size or 2, as this has, but got 8x8x8"),
    ],
)
def test_a_crop_that_the_image_does_not_hold_is_refused(box: tuple[int, ...], rule: str, tmp_path: Path) -> None:
    assert message_of(saved(tmp_path / "x.png", GREY), Crop(box=box)) == rule


@pytest.mark.parametrize(
    ("crop", "rule"),
    [
        (Crop(dims=1), "--dims must be 2, as this is of kind image, but got --dims 1"),
        (Crop(channels="mono"), "--channels mono is for audio, but this is of kind image"),
        (Crop(kind="volume"), "--kind must be image, which this is, but got --kind volume"),
    ],
)
def test_options_of_other_signals_are_refused(crop: Crop, rule: str, tmp_path: Path) -> None:
    assert message_of(saved(tmp_path / "x.png", GREY), crop) == rule


def test_a_picture_of_few_colours_is_smaller_and_stays_as_it_is(tmp_path: Path) -> None:
    drawn = np.kron(RGB[:4, :4], np.ones((40, 40, 1), dtype=np.uint8))
    saved(tmp_path / "drawn.png", drawn, compress_level=0)
    content = (tmp_path / "drawn.png").read_bytes()
    few = shrink_png(content, 256)
    assert len(few) < len(content) / 10
    with Image.open(BytesIO(few)) as image:
        assert np.max(np.abs(np.asarray(image.convert("RGB")).astype(int) - drawn)) <= 8
    with Image.open(BytesIO(shrink_png(content))) as image:
        assert np.array_equal(np.asarray(image), drawn)
    with Image.open(BytesIO(shrink_png(content, scale=0.25))) as image:
        assert image.size == (40, 40)


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0\x00\x10JFIF"])
def test_what_is_no_png_is_not_shrunk(content: bytes) -> None:
    with pytest.raises(SignalError, match="a picture must be a PNG"):
        shrink_png(content)
