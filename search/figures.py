"""A report's pictures and sounds: what they show, in words, and their files as data URIs."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from search.folder import (
    COMPARISON,
    CONVERGENCE,
    CURVES,
    FRONT,
    IMPORTANCE,
    LANDSCAPE,
    LISTEN,
    PATH,
    SLICES,
    SOUNDS,
    SPECTRA,
    WAVEFORM,
)
from search.pictures import Pictures
from trainers.images import shrink_png
from trainers.signals import SignalError

MAX_SOUND_BYTES = 2**21
"""Of one file: 11 s at 48 kHz. A page that holds more takes long to open."""


REPEATED = "Short: it is repeated until it is stopped."
"""Of a sound: its player does so."""

DRAWING_COLOURS = 256
"""Lines, texts and scales of colours need no more, and take a third of the bytes; photographs keep all they have."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture or a sound of a report.

    Attributes:
        heading: what it is.
        caption: what it shows and how to read it.
        uri: its content.
    """

    heading: str
    caption: str
    uri: str


CAPTIONS = {
    LANDSCAPE: (
        "Landscape",
        "Every trial that has a score, at its point; predictions and baselines where the space contains them; the "
        "found point. Scores are those of one seed, the search's. Where noise scales are searched, grey lines join "
        "points of equal bandwidth B.",
    ),
    FRONT: (
        "Front",
        "PSNR over the trained and over the held-out samples, on the search's seed; the line joins the trials that no "
        "other beats in both.",
    ),
    CONVERGENCE: (
        "Convergence",
        "The best complete trial so far against trials and against steps, the references' levels, and the found "
        "point's mean ± standard deviation over fresh seeds. The best of many trials on one seed is a lucky one: the "
        "band is what counts.",
    ),
    CURVES: (
        "Learning curves",
        "PSNR by step of every trial, the references and the found point, one seed each.",
    ),
    IMPORTANCE: (
        "Importance",
        "Which search coordinate decides whether a complete trial is among the best (PED-ANOVA): how far the density "
        "of the best tenth, five at least, differs from that of all. Few trials make rough numbers.",
    ),
    SLICES: (
        "Slices",
        "What the Gaussian process through all complete fits expects, as the mean over seeds, along one search "
        "coordinate at a time, the others held at the found point's or at the reference's. Where noise scales are "
        "searched, root_s1 runs along the ridge of equal bandwidth, and bandwidth across it. Bands: ± 2 standard "
        "deviations of that mean, length scales taken as known. Star and square: means over fresh seeds with standard "
        "deviation, which the process has not seen, or what it expects where there are none.",
    ),
    PATH: (
        "From the prediction to the found point",
        "The same expectation along the straight line between the two in search coordinates, and a tenth beyond.",
    ),
    COMPARISON: (
        "Reconstruction",
        "Target, reconstruction, and their difference. It is one fit, the best of the found point's: others are worse.",
    ),
    WAVEFORM: (
        "Reconstruction",
        "Target, reconstruction and error over time, and spectrograms of the first two. It is one fit, the best of the "
        "found point's: others are worse.",
    ),
    SPECTRA: ("Spectra", "Amplitude spectra of target, reconstruction and error, in bands."),
}
"""Heading and caption of each picture, in a report's order."""


def embed_pictures(pictures: Pictures, folder: Path, *, is_drawn: bool) -> tuple[list[Figure], dict[str, str]]:
    """A study's pictures, and by heading why others are not shown.

    Args:
        pictures: what can be drawn.
        folder: of the study.
        is_drawn: whether the pictures in it show what storage holds; others are drawn for the report alone.
    """
    figures, missing = [], {}
    with TemporaryDirectory() as scratch:
        for name, (heading, caption) in CAPTIONS.items():
            uri = _kept(folder / name) if is_drawn else None
            if uri is None and name in pictures.drawings:
                path = Path(scratch, name)
                pictures.drawings[name](path)
                uri = embed(path)
            if uri is not None:
                figures.append(Figure(heading=heading, caption=caption, uri=uri))
            elif name in pictures.missing:
                missing[heading] = pictures.missing[name]
    return figures, missing


def embed_sounds(folder: Path) -> tuple[list[Figure], dict[str, str]]:
    """Target and reconstruction where they are sounds, and by heading why one is not there."""
    figures, missing = [], {}
    caption = REPEATED if (folder / LISTEN).exists() else ""
    for name in sorted(SOUNDS, reverse=True):
        path = folder / name
        if not path.exists():
            continue
        heading = f"Sound of the {path.stem}"
        if path.stat().st_size > MAX_SOUND_BYTES:
            size, most = path.stat().st_size / 2**20, MAX_SOUND_BYTES / 2**20
            missing[heading] = f"{size:.1f} MiB are more than the {most:g} that a page takes; {name} is in the folder"
            continue
        figures.append(Figure(heading=heading, caption=caption, uri=_uri("audio/wav", path.read_bytes())))
    return figures, missing


def embed(picture: Path) -> str:
    """A PNG as a data URI.

    Raises:
        SignalError: it is none, or damaged.
    """
    colours = None if picture.name == COMPARISON else DRAWING_COLOURS
    return _uri("image/png", shrink_png(picture.read_bytes(), colours))


def _kept(picture: Path) -> str | None:
    """A picture of the study's folder; None where it is gone or damaged, and must be drawn anew."""
    try:
        return embed(picture)
    except (FileNotFoundError, SignalError):
        return None


def _uri(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{b64encode(content).decode()}"
