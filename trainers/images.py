"""Read images as Signal (whatever Pillow reads of PNG, JPEG, TIFF, BMP, WebP, GIF and PNM), and write them as PNG."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from trainers.crops import box
from trainers.scaling import build_signal
from trainers.signals import Array, Crop, Signal, SignalError, check_kind

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "PPM")
"""Those of pixels alone: no EPS, which Pillow gives to Ghostscript."""

_CONVERTED = {"1": "L", "L": "L", "LA": "LA", "La": "LA", "P": "RGBA", "PA": "RGBA", "RGBA": "RGBA", "RGBa": "RGBA"}
"""What modes of 8 bit are read as; all others (CMYK, YCbCr, LAB, HSV) as RGB."""

_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError, OverflowError, struct.error)
"""What Pillow's readers raise on files that break their format's rules."""


def read_image(path: Path, crop: Crop) -> Signal:
    """Read an image as (rows, columns) samples, upright by its EXIF orientation: values = 2 v - 1.

    v in [0, 1] by the bit depth: 8 or 16 bit; 32-bit integers and floats as they are where all lie within [0, 1], else
    from the least to the greatest. Palettes become RGB, as does CMYK. An alpha channel is kept unless the crop is
    opaque. No colour profile or gamma is applied. Pillow reads 16 bit of grey images; of colour, the upper 8 of 16.

    Raises:
        SignalError: no image, truncated, several frames, too small or too large, constant, not finite, or the crop
            lies outside it.
    """
    source = str(path)
    check_kind(crop, "image", source)
    try:
        with _quiet(), Image.open(path, formats=FORMATS) as file:
            # A camera's MPO holds the photograph, then previews of it.
            frames = 1 if file.format == "MPO" else getattr(file, "n_frames", 1)
            if frames > 1:
                raise SignalError(
                    f"{source}: an image must have one frame, but it has {frames}; save one of them, or all as .npy"
                )
            image = ImageOps.exif_transpose(file)
            total = (image.height, image.width)
            start, sizes = box(crop, total, source)
            (top, left), (height, width) = start, sizes
            raw, limits = _numbers(image.crop((left, top, left + width, top + height)), str(file.format))
    except SignalError:
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise SignalError(
            f"{source}: an image must have few enough pixels to be read, but: {_reason(error)}"
        ) from error
    except _DAMAGED as error:
        raise SignalError(f"{source}: a signal must be an image that Pillow reads, but: {_reason(error)}") from error
    return build_signal(raw, kind="image", name=path.stem, source=source, start=start, total=total, limits=limits)


def write_image(path: Path, values: NDArray[np.floating[Any]]) -> None:
    """Write (rows, columns, channels) in [-1, 1] as PNG of 8 bit: grey, grey and alpha, RGB or RGBA.

    What lies beyond is clipped, and what is not finite becomes grey.
    """
    levels = np.nan_to_num(np.clip(values, -1.0, 1.0), nan=0.0) * 127.5 + 127.5
    pixels = np.rint(levels).astype(np.uint8)
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path, format="PNG")


def shrink_png(content: bytes, colours: int | None = None, *, scale: float = 1.0) -> bytes:
    """A PNG in as few bytes as it takes, of `colours` colours at most (256 or fewer; None: all that it has).

    Args:
        content: of the file.
        colours: see above.
        scale: of its sides, in (0, 1].

    Raises:
        SignalError: it is no PNG, or damaged.
    """
    written = BytesIO()
    try:
        with _quiet(), Image.open(BytesIO(content), formats=("PNG",)) as file:
            image = file.convert("RGB")
    except (Image.DecompressionBombError, *_DAMAGED) as error:
        raise SignalError(f"a picture must be a PNG, but: {_reason(error)}") from error
    if scale < 1.0:
        size = (round(image.width * scale), round(image.height * scale))
        image = image.resize(size, Image.Resampling.LANCZOS)
    if colours is not None:
        image = image.quantize(colours, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    image.save(written, format="PNG", optimize=True)
    return written.getvalue()


def is_image(path: Path) -> bool:
    """Whether the content begins as that of an image."""
    try:
        with _quiet():
            Image.open(path, formats=FORMATS).close()
    except Image.DecompressionBombError:
        return True
    except _DAMAGED:
        return False
    return True


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Pillow's warnings of sloppy metadata: what matters is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _numbers(image: Image.Image, file_format: str) -> tuple[Array, tuple[float, float] | None]:
    """(rows, columns, channels), and the numbers of black and white where the type tells them."""
    key = image.info.get("transparency")
    if image.mode.startswith(("I", "F")):
        raw = np.asarray(image, dtype=np.float64)[..., None]
        if image.mode == "F" or (image.mode == "I" and file_format not in ("PNG", "PPM")):
            return raw, None  # floats and 32-bit integers
        white = 65_535.0
        if isinstance(key, int):
            raw = np.concatenate([raw, np.where(raw == key, 0.0, white)], axis=-1)
    else:
        mode, white = _CONVERTED.get(image.mode, "RGB"), 255.0
        if key is not None:
            mode = {"L": "LA", "RGB": "RGBA"}.get(mode, mode)
        raw = np.asarray(image.convert(mode), dtype=np.float64).reshape(image.height, image.width, -1)
    if raw.shape[-1] in (2, 4) and np.all(raw[..., -1] == white):
        raw = raw[..., :-1]
    return raw, (0.0, white)


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "its content is not that of one"
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
