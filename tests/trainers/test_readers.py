"""What holds for every signal, whichever reader it came from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from PIL import Image

from trainers.metrics import psnr_db
from trainers.signals import DIMS_OF_KIND, Crop, Signal, SignalError, read_signal
from trainers.tasks import build_task

Array = NDArray[np.float64]

RNG = np.random.default_rng(11)
LINE = RNG.uniform(-0.7, 0.7, (120, 1))
STEREO = RNG.uniform(-0.7, 0.7, (120, 2))
GREY = RNG.integers(0, 256, (12, 20)).astype(np.uint8)
RGB = RNG.integers(0, 256, (12, 20, 3)).astype(np.uint8)
DEEP = RNG.integers(0, 65_536, (12, 20)).astype(np.uint16)
FLOATS = RNG.normal(0.0, 30.0, (12, 20))
VOLUME = RNG.normal(0.0, 3.0, (6, 8, 10))
INSIDE = RNG.uniform(size=(6, 8, 10)) < 0.5


class SignalLaws:
    """Every source; subclasses say which, of what kind, and a crop that it takes."""

    kind: ClassVar[str]
    shape: ClassVar[tuple[int, ...]]
    channels: ClassVar[int] = 1
    crop: ClassVar[Crop]

    def source(self, folder: Path) -> str:
        raise NotImplementedError

    def read(self, folder: Path, crop: Crop | None = None) -> Signal:
        return read_signal(self.source(folder), crop)

    def possible_dims(self) -> set[int]:
        """Axes that its grid may have."""
        return {DIMS_OF_KIND[self.kind]}

    def test_its_values_fill_its_grid_within_minus_one_and_one(self, tmp_path: Path) -> None:
        signal = self.read(tmp_path)
        assert (signal.kind, signal.shape, signal.channels) == (self.kind, self.shape, self.channels)
        assert signal.values.shape == (math.prod(self.shape), self.channels) == (signal.num_samples, signal.channels)
        assert signal.values.dtype == np.float64
        assert np.all(np.abs(signal.values) <= 1.0)

    def test_its_grid_has_the_axes_of_its_kind(self, tmp_path: Path) -> None:
        signal = self.read(tmp_path)
        coordinates = signal.coordinates()
        assert coordinates.shape == (signal.num_samples, DIMS_OF_KIND[self.kind])
        assert np.all(coordinates[0] == -1.0)
        assert np.all(coordinates[-1] == 1.0)
        assert (signal.start, signal.total) == ((0,) * len(self.shape), self.shape)

    def test_it_is_the_same_when_read_again(self, tmp_path: Path) -> None:
        assert self.read(tmp_path).digest == self.read(tmp_path).digest

    def test_its_crop_is_the_middle_of_the_whole(self, tmp_path: Path) -> None:
        whole, part = self.read(tmp_path), self.read(tmp_path, self.crop)
        middle = tuple((num - size) // 2 for num, size in zip(whole.shape, part.shape, strict=True))
        assert (part.start, part.total) == (middle, whole.shape)
        chosen = tuple(slice(first, first + size) for first, size in zip(part.start, part.shape, strict=True))
        raw = (whole.values * whole.peak + whole.offset).reshape(*whole.shape, whole.channels)[chosen]
        np.testing.assert_allclose(part.values * part.peak + part.offset, raw.reshape(-1, raw.shape[-1]), atol=1e-9)

    def test_a_fit_and_its_score_are_ready_for_it(self, tmp_path: Path) -> None:
        signal = self.read(tmp_path)
        task = build_task(signal)
        assert task.values.shape == signal.values.shape
        assert math.isfinite(psnr_db(0.01, signal.kind))
        assert 0.0 < signal.spectrum().centroid < 1.0
        assert 0.0 < signal.power <= 1.0

    @pytest.mark.parametrize("kind", DIMS_OF_KIND)
    def test_another_kind_is_refused(self, kind: str, tmp_path: Path) -> None:
        if DIMS_OF_KIND[kind] in self.possible_dims():
            return
        with pytest.raises(SignalError, match=f"--kind {kind}$"):
            self.read(tmp_path, Crop(kind=kind))

    def test_the_crop_of_the_other_grids_is_refused(self, tmp_path: Path) -> None:
        if self.crop.box is None:
            with pytest.raises(SignalError, match="--crop is for images and volumes"):
                self.read(tmp_path, Crop(box=(32,)))
            return
        for crop, option in ((Crop(samples=32), "--samples"), (Crop(start=1.0), "--start")):
            with pytest.raises(SignalError, match=f"{option} is for audio, but this has"):
                self.read(tmp_path, crop)


class FileLaws(SignalLaws):
    """Every file that keeps its numbers exactly; subclasses say how they are written."""

    raw: ClassVar[NDArray[np.generic]]
    suffix: ClassVar[str]
    options: ClassVar[Crop] = Crop()

    def write(self, path: Path, raw: NDArray[np.generic]) -> None:
        raise NotImplementedError

    def source(self, folder: Path) -> str:
        path = folder / f"file{self.suffix}"
        self.write(path, self.raw)
        return str(path)

    def test_its_values_are_those_of_the_file_less_offset_over_peak(self, tmp_path: Path) -> None:
        signal = self.read(tmp_path)
        raw = self.raw.astype(np.float64).reshape(signal.values.shape)
        np.testing.assert_array_equal(signal.values, (raw - signal.offset) / signal.peak)
        assert (signal.name, signal.source) == ("file", str(tmp_path / f"file{self.suffix}"))

    def test_its_digest_changes_with_one_value(self, tmp_path: Path) -> None:
        changed = self.raw.copy()
        place = np.unravel_index(changed.size // 2 + 1, changed.shape)
        values = changed.reshape(-1)
        changed[place] = next(value for value in values if value != changed[place])  # within the same range
        first = self.read(tmp_path).digest
        self.write(tmp_path / f"other{self.suffix}", changed)
        assert read_signal(str(tmp_path / f"other{self.suffix}")).digest != first

    @pytest.mark.parametrize("name", ["file", "file.dat", "größe.1"])
    def test_its_content_tells_the_reader_where_its_name_does_not(self, name: str, tmp_path: Path) -> None:
        expected = self.read(tmp_path).digest
        path = (tmp_path / f"file{self.suffix}").rename(tmp_path / name)
        assert read_signal(str(path)).digest == expected

    def test_its_name_may_be_in_capitals(self, tmp_path: Path) -> None:
        expected = self.read(tmp_path).digest
        path = (tmp_path / f"file{self.suffix}").rename(tmp_path / f"A FILE{self.suffix.upper()}")
        assert read_signal(str(path)).digest == expected

    @pytest.mark.parametrize("share", [0.5, 0.9])
    def test_it_is_refused_in_one_line_where_it_was_truncated(self, share: float, tmp_path: Path) -> None:
        path = Path(self.source(tmp_path))
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
        with pytest.raises(SignalError) as caught:
            read_signal(str(path))
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


class ImageLaws(FileLaws):
    kind, shape, crop = "image", (12, 20), Crop(box=(8, 9))

    def write(self, path: Path, raw: NDArray[np.generic]) -> None:
        Image.fromarray(raw).save(path)


class ArrayLaws(FileLaws):
    suffix = ".npy"

    def possible_dims(self) -> set[int]:
        return {self.raw.ndim - 1, self.raw.ndim}  # the last axis may be channels

    def write(self, path: Path, raw: NDArray[np.generic]) -> None:
        np.save(path, raw)


class TestWav(FileLaws):
    kind, shape, raw, suffix, crop = "audio", (120,), LINE, ".wav", Crop(samples=51)

    def write(self, path: Path, raw: NDArray[np.generic]) -> None:
        soundfile.write(path, raw, 8000, subtype="DOUBLE")


class TestPng(ImageLaws):
    raw, suffix = GREY, ".png"


class TestColourPng(ImageLaws):
    raw, suffix, channels = RGB, ".png", 3


class TestDeepPng(ImageLaws):
    raw, suffix = DEEP, ".png"


class TestTiff(ImageLaws):
    raw, suffix = DEEP, ".tif"


class TestFloatTiff(ImageLaws):
    raw, suffix = FLOATS.astype(np.float32), ".tiff"


class TestBmp(ImageLaws):
    raw, suffix, channels = RGB, ".bmp", 3


class TestWebp(ImageLaws):
    raw, suffix, channels = RGB, ".webp", 3

    def write(self, path: Path, raw: NDArray[np.generic]) -> None:
        Image.fromarray(raw).save(path, lossless=True)


class TestPgm(ImageLaws):
    raw, suffix = DEEP, ".pgm"


class TestLineArray(ArrayLaws):
    kind, shape, raw, crop = "audio", (120,), LINE[:, 0], Crop(samples=51)


class TestStereoArray(ArrayLaws):
    kind, shape, raw, crop, channels = "audio", (120,), STEREO, Crop(samples=51), 2


class TestImageArray(ArrayLaws):
    kind, shape, raw, crop = "image", (12, 20), FLOATS, Crop(box=(5,))


class TestColourArray(ArrayLaws):
    kind, shape, raw, crop, channels = "image", (12, 20), RGB, Crop(box=(5, 8)), 3


class TestVolumeArray(ArrayLaws):
    kind, shape, raw, crop = "volume", (6, 8, 10), VOLUME, Crop(box=(5, 4, 7))


class TestVolumeOfChannels(ArrayLaws):
    kind, shape, raw, crop, channels = "volume", (6, 8, 5), VOLUME.reshape(6, 8, 5, 2), Crop(box=(4,)), 2


class TestOccupancyArray(ArrayLaws):
    kind, shape, raw, crop = "occupancy", (6, 8, 10), INSIDE, Crop(box=(4,))


class TestNpz(ArrayLaws):
    kind, shape, raw, suffix, crop = "image", (12, 20), FLOATS, ".npz", Crop(box=(5,))

    def write(self, path: Path, raw: NDArray[np.generic]) -> None:
        with path.open("wb") as file:
            np.savez(file, it=raw)


class SyntheticLaws(SignalLaws):
    name: ClassVar[str]

    def source(self, folder: Path) -> str:
        return f"synthetic:{self.name}"


class TestPink(SyntheticLaws):
    name, kind, shape, crop = "pink", "audio", (32_768,), Crop(samples=501)


class TestTexture(SyntheticLaws):
    name, kind, shape, channels, crop = "texture", "image", (128, 128), 3, Crop(box=(64, 33))


class TestTorus(SyntheticLaws):
    name, kind, shape, crop = "torus", "volume", (32, 32, 32), Crop(box=(16,))


class TestBlob(SyntheticLaws):
    name, kind, shape, crop = "blob", "occupancy", (32, 32, 32), Crop(box=(16, 8, 9))
