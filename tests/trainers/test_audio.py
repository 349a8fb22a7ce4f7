import math
import os
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from trainers.audio import write_audio
from trainers.signals import Crop, SignalError, read_signal

Array = NDArray[np.float64]
Writer = Callable[..., Path]

LINEAR = {"PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"}
"""Subtypes that keep samples to 16 bit or better; the others are lossy."""


def is_writable(subtype: str, rate: int) -> bool:
    try:
        soundfile.write(BytesIO(), np.zeros(1000), rate, format="WAV", subtype=subtype)
    except soundfile.LibsndfileError:
        return False
    return True


WAVS = [
    (subtype, rate)
    for subtype in soundfile.available_subtypes("WAV")
    for rate in (8000, 44_100)
    if is_writable(subtype, rate)
]


def error_db(values: Array, expected: Array) -> float:
    """Signal over error, both scaled to a peak of 1."""
    expected = expected / np.max(np.abs(expected))
    return float(10.0 * np.log10(np.mean(expected**2) / max(np.mean((values - expected) ** 2), 1e-30)))


def message_of(path: Path | str, crop: Crop | None = None) -> str:
    with pytest.raises(SignalError) as caught:
        read_signal(str(path), crop)
    return str(caught.value)


def test_the_known_wav_subtypes_are_all_tried() -> None:
    assert {"PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"} <= {name for name, _ in WAVS}


@pytest.mark.parametrize(("subtype", "rate"), WAVS)
def test_a_wav_of_every_subtype_is_read(subtype: str, rate: int, tone: Array, write: Writer) -> None:
    signal = read_signal(str(write(tone, rate=rate, subtype=subtype)))
    padding = signal.num_samples - len(tone)  # block codecs fill their last block
    assert 0 <= padding < 1024
    assert signal.rate_hz == rate
    assert error_db(signal.values[: len(tone), 0], tone) > (60.0 if subtype in LINEAR else 10.0)


@pytest.mark.parametrize("subtype", sorted({subtype for subtype, _ in WAVS}))
def test_the_middle_of_a_wav_of_every_subtype_is_read(subtype: str, tone: Array, write: Writer) -> None:
    signal = read_signal(str(write(tone, subtype=subtype)), Crop(samples=1000))
    assert signal.num_samples == 1000
    assert signal.start == ((signal.total[0] - 1000) // 2,)
    expected = tone[signal.start[0] : signal.start[0] + 1000]
    assert error_db(signal.values[:, 0], expected) > (60.0 if subtype in LINEAR else 10.0)


@pytest.mark.parametrize(
    ("name", "subtype", "rate"),
    [("clip.flac", "PCM_16", 44_100), ("clip.flac", "PCM_24", 44_100), ("clip.ogg", "VORBIS", 44_100),
     ("clip.ogg", "OPUS", 48_000), ("clip.mp3", "MPEG_LAYER_III", 44_100)],
)  # fmt: skip
def test_compressed_files_are_read(name: str, subtype: str, rate: int, tone: Array, write: Writer) -> None:
    signal = read_signal(str(write(tone, name, rate, subtype)))
    assert (signal.num_samples, signal.rate_hz, signal.name) == (8000, rate, "clip")
    assert error_db(signal.values[:, 0], tone) > (60.0 if name.endswith("flac") else 10.0)


def test_the_samples_of_a_float_wav_arrive_unchanged_but_for_the_peak(tone: Array, write: Writer) -> None:
    signal = read_signal(str(write(tone)))
    np.testing.assert_array_equal(signal.values[:, 0], tone / np.max(tone))
    assert signal.peak == np.max(np.abs(tone))


def test_stereo_is_read_as_the_mean_of_its_channels(tone: Array, write: Writer) -> None:
    other = np.linspace(-0.5, 0.5, len(tone))
    signal = read_signal(str(write(np.stack([tone, other], axis=1))))
    mean = (tone + other) / 2
    np.testing.assert_allclose(signal.values[:, 0], mean / np.max(np.abs(mean)), rtol=1e-12, atol=1e-15)
    assert signal.channels == 1


def test_all_channels_of_a_recording_are_kept_where_asked_for(write: Writer) -> None:
    values = np.random.default_rng(4).uniform(-0.4, 0.4, (3000, 3)) * [1.0, 0.5, 0.1]
    values[1200:1300, 1] *= 4.0
    source = str(write(values))
    signal = read_signal(source, Crop(channels="all"))
    assert (signal.shape, signal.channels, signal.kind) == ((3000,), 3, "audio")
    np.testing.assert_array_equal(signal.values, values / np.max(np.abs(values)))
    part = read_signal(source, Crop(channels="all", samples=100, start="loudest"))
    energies = np.convolve(np.sum(values**2, axis=1), np.ones(100), mode="valid")
    assert part.start == (int(np.argmax(energies)),)
    assert read_signal(source, Crop(channels="mono")).digest == read_signal(source).digest


def test_channels_that_cancel_can_be_kept(write: Writer) -> None:
    source = str(write(np.ones((1000, 2)) * [0.5, -0.5]))
    assert read_signal(source, Crop(channels="all")).values[0].tolist() == [1.0, -1.0]


@pytest.mark.parametrize(
    ("crop", "rule"),
    [
        (Crop(box=(32,)), "--crop is for images and volumes, but this has one axis; use --samples"),
        (Crop(dims=2), "--dims must be 1, as this is of kind audio, but got --dims 2"),
        (Crop(kind="image"), "--kind must be audio, which this is, but got --kind image"),
    ],
)
def test_options_of_other_signals_are_refused(crop: Crop, rule: str, tone: Array, write: Writer) -> None:
    assert message_of(write(tone), crop).endswith(f": {rule}")


def test_a_long_recording_is_read_block_by_block_to_the_same_samples(write: Writer) -> None:
    ramp = np.linspace(-1.0, 1.0, (1 << 20) + 1000)
    signal = read_signal(str(write(ramp)), Crop(samples=(1 << 20) + 500))
    np.testing.assert_array_equal(signal.values[:, 0], ramp[250:-250] / ramp[-251])


def test_a_crop_takes_the_middle(write: Writer) -> None:
    values = np.arange(1, 102) / 1000.0  # 101 samples: the middle 20 begin at (101 - 20) // 2 = 40
    signal = read_signal(str(write(values)), Crop(samples=20))
    assert (signal.start, signal.total) == ((40,), (101,))
    np.testing.assert_allclose(signal.values[:, 0], values[40:60] / values[59], rtol=1e-12)


def test_a_crop_begins_at_the_start_in_seconds(write: Writer) -> None:
    values = np.arange(1, 8001) / 10_000.0
    signal = read_signal(str(write(values)), Crop(samples=100, start=0.25))
    assert signal.start == (2000,)
    np.testing.assert_allclose(signal.values[:, 0], values[2000:2100] / values[2099], rtol=1e-12)


def test_a_start_alone_takes_all_that_follows(write: Writer) -> None:
    signal = read_signal(str(write(np.arange(1, 8001) / 10_000.0)), Crop(start=0.75))
    assert (signal.start, signal.num_samples) == ((6000,), 2000)


def test_a_start_of_zero_is_the_beginning_and_not_the_middle(write: Writer) -> None:
    assert read_signal(str(write(np.ones(1000))), Crop(samples=100, start=0.0)).start == (0,)


def test_the_loudest_window_is_found(write: Writer) -> None:
    values = 0.01 * np.ones(5000)
    values[3210:3310] = 0.5
    signal = read_signal(str(write(values)), Crop(samples=100, start="loudest"))
    assert signal.start == (3210,)
    np.testing.assert_array_equal(signal.values, np.ones((100, 1)))


def test_the_loudest_window_is_that_of_a_literal_search(write: Writer) -> None:
    values = np.random.default_rng(3).standard_normal(300) * 0.1
    energies = [np.sum(values[start : start + 40] ** 2) for start in range(300 - 40 + 1)]
    signal = read_signal(str(write(values)), Crop(samples=40, start="loudest"))
    assert signal.start == (int(np.argmax(energies)),)


def test_the_loudest_window_of_all_samples_is_all_samples(tone: Array, write: Writer) -> None:
    path = str(write(tone))
    assert read_signal(path, Crop(start="loudest")).digest == read_signal(path).digest
    assert read_signal(path, Crop(samples=8000, start="loudest")).digest == read_signal(path).digest


def test_the_peak_is_that_of_the_crop_and_not_of_the_recording(write: Writer) -> None:
    values = 0.1 * np.sin(np.arange(1000.0))
    values[0] = 1.0
    signal = read_signal(str(write(values)), Crop(samples=100))
    assert signal.peak < 0.11
    assert np.max(np.abs(signal.values)) == 1.0


def test_a_negative_peak_scales_to_minus_one(write: Writer) -> None:
    values = np.full(100, 0.1)
    values[50] = -0.5
    assert np.min(read_signal(str(write(values))).values) == -1.0


@pytest.mark.parametrize("name", ["with space.wav", "it's.wav", "größe.wav", "no-extension", "tone.WAV"])
def test_a_files_name_does_not_matter(name: str, tone: Array, write: Writer) -> None:
    path = write(tone)
    path = path.rename(path.with_name(name))
    signal = read_signal(str(path))
    assert signal.num_samples == 8000
    assert (signal.name, signal.source) == (path.stem, str(path))


def test_written_audio_is_read_back(tmp_path: Path, tone: Array) -> None:
    write_audio(tmp_path / "out.wav", tone, 24_000.0)
    signal = read_signal(str(tmp_path / "out.wav"))
    assert signal.rate_hz == 24_000.0
    np.testing.assert_allclose(signal.values[:, 0] * signal.peak, tone.astype(np.float32), rtol=1e-15)


def test_written_audio_is_neither_scaled_nor_clipped(tmp_path: Path) -> None:
    write_audio(tmp_path / "out.wav", np.array([0.0, 1.5, -2.0, 0.25]), 8000.0)
    values, rate = soundfile.read(tmp_path / "out.wav")
    assert (values.tolist(), rate) == ([0.0, 1.5, -2.0, 0.25], 8000)


def cut_in_half(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


@pytest.mark.parametrize("subtype", sorted({subtype for subtype, _ in WAVS}))
def test_a_truncated_wav_of_every_subtype_is_refused(subtype: str, tone: Array, write: Writer) -> None:
    message = message_of(cut_in_half(write(tone, subtype=subtype)))
    assert "the file is truncated: its header announces" in message
    assert "\n" not in message


def test_a_wav_that_lacks_its_last_byte_is_refused(tone: Array, write: Writer) -> None:
    path = write(tone, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:-1])
    assert "its header announces 16000 bytes of samples, but 15999 are there" in message_of(path)


@pytest.mark.parametrize(
    ("name", "subtype"), [("clip.flac", "PCM_16"), ("clip.ogg", "VORBIS"), ("clip.mp3", "MPEG_LAYER_III")]
)
def test_a_truncated_compressed_file_is_refused(name: str, subtype: str, tone: Array, write: Writer) -> None:
    path = cut_in_half(write(tone, name, 44_100, subtype))
    message = message_of(path)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


@pytest.mark.parametrize("name", ["clip.aiff", "clip.au", "clip.rf64", "clip.w64"])
def test_a_truncated_file_of_another_container_is_refused(name: str, tone: Array, write: Writer) -> None:
    assert "truncated" in message_of(cut_in_half(write(tone, name, subtype="PCM_16")))


@pytest.mark.parametrize("name", ["clip.aiff", "clip.au", "clip.caf", "clip.rf64", "clip.w64"])
def test_a_whole_file_of_another_container_is_read(name: str, tone: Array, write: Writer) -> None:
    signal = read_signal(str(write(tone, name, subtype="PCM_16")))
    assert error_db(signal.values[:, 0], tone) > 60.0


def streamed_wav(path: Path, announced: int) -> Path:
    """1000 samples of 16 bit behind a header whose data chunk announces other bytes."""
    data = (np.arange(1000) % 7 - 3).astype("<i2").tobytes()
    layout = struct.pack("<HHIIHH", 1, 1, 8000, 16_000, 2, 16)
    riff = struct.pack("<I", min(announced + 36, 0xFFFFFFFF))
    header = b"RIFF" + riff + b"WAVEfmt " + struct.pack("<I", 16) + layout + b"data" + struct.pack("<I", announced)
    path.write_bytes(header + data)
    return path


@pytest.mark.parametrize("announced", [0xFFFFFFFF, 0x7FFFFFFF, 2000])
def test_a_wav_that_was_streamed_is_read_to_its_end(announced: int, tmp_path: Path) -> None:
    signal = read_signal(str(streamed_wav(tmp_path / "clip.wav", announced)))
    assert signal.num_samples == 1000
    np.testing.assert_allclose(signal.values[:7, 0], (np.arange(7) - 3) / 3)


@pytest.mark.parametrize("announced", [0x7FFFF000, 0x7FFFFF00, 0xFFFFFFDB], ids=["sox, espeak", "arecord", "riff - 36"])
def test_a_wav_that_was_streamed_with_a_round_length_is_read_to_its_end(announced: int, tmp_path: Path) -> None:
    # What programs write that stream to a pipe and cannot know the length: as much as 31 or 32 bits hold, rounded.
    assert read_signal(str(streamed_wav(tmp_path / "clip.wav", announced))).num_samples == 1000


def test_a_wav_that_announces_no_samples_has_none(tmp_path: Path) -> None:
    # libsndfile believes a data chunk of 0 bytes, whatever follows.
    assert message_of(streamed_wav(tmp_path / "clip.wav", 0)).endswith("at least 16 samples are needed, but it has 0")


def test_samples_behind_the_data_chunk_are_not_read(tmp_path: Path) -> None:
    assert read_signal(str(streamed_wav(tmp_path / "clip.wav", 1900))).num_samples == 950


BAD_FILES: dict[str, tuple[bytes | Array, str]] = {
    "empty file": (b"", "the file is empty"),
    "text": (b"The quick brown fox. " * 100, "a signal must be an audio file that libsndfile reads, but: "),
    "riff only": (b"RIFF", "a signal must be an audio file that libsndfile reads, but: "),
    "zeros": (bytes(4096), "a signal must be an audio file that libsndfile reads, but: "),
    "no sample": (np.zeros(0), "at least 16 samples are needed, but it has 0"),
    "one sample": (np.ones(1), "at least 16 samples are needed, but it has 1"),
    "fifteen samples": (np.ones(15), "at least 16 samples are needed, but it has 15"),
    "all zero": (np.zeros(1000), "a signal must not be silent, but all samples are zero"),
    "channels that cancel": (np.ones((1000, 2)) * [1, -1], "a signal must not be silent, but all samples are zero"),
    "nan": (
        np.where(np.arange(100) == 7, math.nan, 0.5),
        "every sample must be finite, but 1 are not (the first is sample 7)",
    ),
    "infinity": (
        np.where(np.arange(100) >= 98, math.inf, 0.5),
        "every sample must be finite, but 2 are not (the first is sample 98)",
    ),
}


@pytest.mark.parametrize(("content", "rule"), BAD_FILES.values(), ids=list(BAD_FILES))
def test_an_unusable_file_is_refused_with_the_rule_and_what_came(
    content: bytes | Array, rule: str, tmp_path: Path
) -> None:
    path = tmp_path / "clip.wav"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        soundfile.write(path, content, 8000, subtype="DOUBLE")
    message = message_of(path)
    assert message.startswith(f"{path}: {rule}")
    assert "\n" not in message


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert message_of(tmp_path / "no.wav") == f"{tmp_path / 'no.wav'}: no such file"


def test_a_name_too_long_for_a_file_is_refused() -> None:
    assert message_of("a" * 300).endswith(": no such file")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert message_of(tmp_path) == f"{tmp_path}: a signal must be a file, but this is a directory"


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    assert message_of(tmp_path / "pipe.wav").endswith("a signal must be a regular file")


def test_a_headerless_file_is_refused(tmp_path: Path, tone: Array) -> None:
    (tmp_path / "clip.raw").write_bytes((tone * 32_767).astype("<i2").tobytes())
    message = message_of(tmp_path / "clip.raw")
    assert message.startswith(f"{tmp_path / 'clip.raw'}: a signal must be an audio file with a header, but: ")


def test_a_silent_crop_is_refused_with_advice(write: Writer) -> None:
    values = np.zeros(1000)
    values[:100] = 0.5
    message = message_of(write(values), Crop(samples=100))
    assert "a signal must not be silent, but samples 450 to 550 are zero; choose others with --start" in message
    assert read_signal(str(write(values)), Crop(samples=100, start="loudest")).start == (0,)


def test_a_sample_that_is_not_finite_is_named_by_its_place_in_the_recording(write: Writer) -> None:
    values = np.full(1000, 0.5)
    values[470] = math.nan
    assert "(the first is sample 470)" in message_of(write(values), Crop(samples=100))
    assert "(the first is sample 470)" in message_of(write(values), Crop(samples=100, start="loudest"))


@pytest.mark.parametrize("samples", [0, -5, 15, 1001])
def test_a_number_of_samples_that_is_not_there_is_refused(samples: int, write: Writer) -> None:
    message = message_of(write(np.ones(1000)), Crop(samples=samples))
    assert message.endswith(f"--samples must be from 16 to the 1000 that there are, but got {samples}")


@pytest.mark.parametrize("samples", [16, 1000])
def test_the_fewest_and_the_most_samples_are_read(samples: int, write: Writer) -> None:
    assert read_signal(str(write(np.ones(1000))), Crop(samples=samples)).num_samples == samples


@pytest.mark.parametrize("start", [-0.001, 0.1201, 5.0, 1e300, math.inf, -math.inf, math.nan])
def test_a_start_from_which_too_few_samples_follow_is_refused(start: float, write: Writer) -> None:
    message = message_of(write(np.ones(1000)), Crop(samples=40, start=start))  # 0.125 s, 0.12 s at the latest
    assert "40 samples from --start must lie within its 0.125 s, but got --start " in message
    assert "\n" not in message


def test_a_start_alone_must_leave_enough_samples(write: Writer) -> None:
    message = message_of(write(np.ones(1000)), Crop(start=0.124))
    assert "at least 16 samples from --start must lie within its 0.125 s, but got --start 0.124" in message
