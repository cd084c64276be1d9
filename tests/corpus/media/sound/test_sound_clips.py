"""Sound clips: their number, samples, silence and memory; and the choice between pictures and sound."""

import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from pydantic import TypeAdapter, ValidationError

from corpus.media import (
    ClipSampling,
    Samples,
    SoundSampling,
    StreamSampling,
    UndecodableError,
    compute_clip_times,
    examine,
    iter_clips,
    iter_sound,
    iter_sound_clips,
    iter_stream_clips,
    probe,
)
from corpus.media.sound.mixing import mix_to_mono, read_channels
from odd_media import ODD_FILES, OddFile
from odd_media.writing import Pictures, Sound, write_media

pytestmark = pytest.mark.slow

SAMPLING = SoundSampling(clip_rate_hz=2, window_s=1.0, rate_hz=8000)
Write = Callable[[OddFile], Path]
FILES = [pytest.param(file, id=name) for name, file in ODD_FILES.items() if not file.refused_with]
REFUSED = [pytest.param(file, id=name) for name, file in ODD_FILES.items() if file.refused_with]


def read_clips(path: Path, sampling: SoundSampling = SAMPLING, **how: Any) -> Samples:
    return np.concatenate(list(iter_sound_clips(path, sampling, **how)))


def write_toned(path: Path, *, length_s: float = 4.0) -> Path:
    write_media(path, Pictures(range(round(10 * length_s))), Sound(length_s))
    return path


@pytest.mark.parametrize("clips_per_batch", [1, 3, 64])
@pytest.mark.parametrize(("clip_rate_hz", "window_s"), [(2, 1.0), (3, 0.1), (0.7, 5.0)])
def test_clip_i_holds_the_window_around_its_centre_and_zeros_outside_the_video(
    clips_per_batch: int, clip_rate_hz: float, window_s: float, tmp_path: Path
) -> None:
    path, sampling = write_toned(tmp_path / "a.mkv"), SoundSampling(clip_rate_hz=clip_rate_hz, window_s=window_s, rate_hz=8000)
    blocks = iter_sound(path, 8000, duration_s=4.0)
    assert blocks is not None
    sound = np.concatenate(list(blocks))
    assert len(sound) == 32_000
    found = read_clips(path, sampling, duration_s=4.0, clips_per_batch=clips_per_batch)
    assert found.shape == (max(1, round(4.0 * clip_rate_hz)), sampling.num_samples)
    for number, clip in enumerate(found):
        start = round((number + 0.5) / clip_rate_hz * 8000 - sampling.num_samples / 2)
        expected = [sound[at] if 0 <= at < len(sound) else 0 for at in range(start, start + sampling.num_samples)]
        np.testing.assert_array_equal(clip, expected)


@pytest.mark.parametrize("duration_s", [0.01, 0.5, 10.0, 10.2, 10.3, 10.25, 10.75])
def test_a_video_has_as_many_clips_of_sound_as_of_pictures(duration_s: float, tmp_path: Path) -> None:
    path = write_toned(tmp_path / "a.mkv")
    pictures = ClipSampling(clip_rate_hz=2, offsets_s=(0.0,), size_px=16)
    assert len(read_clips(path, duration_s=duration_s)) == len(compute_clip_times(duration_s, pictures))


def test_a_video_without_sound_has_silent_clips(clips: Any) -> None:
    path = clips.write()
    assert iter_sound(path, 8000, duration_s=4.0) is None
    found = read_clips(path, duration_s=4.0)
    assert found.shape == (8, 8000)
    assert not found.any()


def test_sound_that_counts_as_missing_is_silent(tmp_path: Path) -> None:
    path = write_toned(tmp_path / "a.mkv")
    assert read_clips(path, duration_s=4.0).any()
    found = read_clips(path, duration_s=4.0, has_sound=False)
    assert found.shape == (8, 8000)
    assert not found.any()


def test_sound_without_a_decoder_is_none_as_in_probing(write_odd: Write) -> None:
    path = write_odd(ODD_FILES["unknown_sound.mp4"])
    info = probe(path)
    assert iter_sound(path, 8000, duration_s=info.duration_s) is None
    assert "there is no decoder for the codec 'apac'" in info.notes[0]


@pytest.mark.parametrize("file", FILES)
def test_the_sound_of_an_odd_file_is_its_tone_from_start_to_end(file: OddFile, write_odd: Write) -> None:
    path = write_odd(file)
    info = examine(path)
    blocks = iter_sound(path, 8000, duration_s=info.duration_s)
    assert (blocks is not None) == (file.has_sound or file.num_damaged_audio > 0)
    if blocks is None:
        return
    sound = np.concatenate(list(blocks))
    assert len(sound) == round(8000 * info.duration_s)
    levels = np.sqrt(np.square(sound[: len(sound) // 800 * 800].reshape(-1, 800)).mean(axis=1))  # of each 0.1 s
    inner = levels[3:-3]
    num_silent = (inner < 0.05).sum()  # the mean of six channels with one loud channel is 0.08
    assert num_silent <= 1 + file.num_damaged_audio
    assert sound.dtype == np.float32


@pytest.mark.parametrize("file", FILES)
def test_clips_of_an_odd_file_are_as_many_as_of_pictures(file: OddFile, write_odd: Write) -> None:
    path = write_odd(file)
    info = examine(path)
    pictures = ClipSampling(clip_rate_hz=2, offsets_s=(0.0,), size_px=16)
    found = read_clips(path, duration_s=info.duration_s, has_sound=bool(info.has_audio))
    assert len(found) == len(compute_clip_times(info.duration_s, pictures))
    assert found.any() == file.has_sound


@pytest.mark.parametrize("file", REFUSED)
def test_the_sound_of_a_file_that_is_refused_ends_in_no_other_error(file: OddFile, write_odd: Write) -> None:
    with suppress(UndecodableError):  # sound may be readable even if damage is too large for the index
        assert read_clips(write_odd(file), duration_s=2.0).shape == (4, 8000)


def test_the_memory_of_a_two_hour_file_is_that_of_a_batch(tmp_path: Path) -> None:
    path = tmp_path / "two_hours.mkv"
    write_quiet(path, hours=2)
    tracemalloc.start()
    num_clips = sum(len(batch) for batch in iter_sound_clips(path, SAMPLING, duration_s=7200.0))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert num_clips == 14_400
    assert peak_bytes < 12e6  # all samples take 230 MB, the times of packets 5 MB


def write_quiet(path: Path, *, hours: int) -> None:
    """Write one picture per minute, sound in the first and last second, and a packet of silence per second in between."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=1, options={"preset": "ultrafast", "bf": "0", "g": "1"})
        video.width = video.height = 32
        sound: Any = container.add_stream("flac", rate=8000, layout="mono")
        container.start_encoding()
        for second in range(3600 * hours):
            samples = np.full((1, 8000), 1000 if second in (0, 3600 * hours - 1) else 0, dtype=np.int16)
            frame = AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 8000, 8000 * second, Fraction(1, 8000)
            container.mux(sound.encode(frame))
            if second % 60 == 0:
                picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24").reformat(format="yuv420p")
                picture.pts, picture.time_base = second, Fraction(1, 1)
                container.mux(video.encode(picture))
        container.mux([*video.encode(None), *sound.encode(None)])


def test_streams_of_both_kinds_are_read_by_their_sampling(tmp_path: Path) -> None:
    path, pictures = write_toned(tmp_path / "a.mkv"), ClipSampling(clip_rate_hz=2, offsets_s=(0.0,), size_px=16)
    shown = np.concatenate(list(iter_stream_clips(path, pictures, duration_s=4.0, clips_per_batch=3, num_threads=2)))
    np.testing.assert_array_equal(shown, np.concatenate(list(iter_clips(path, pictures, duration_s=4.0))))
    heard = np.concatenate(list(iter_stream_clips(path, SAMPLING, duration_s=4.0, clips_per_batch=3)))
    np.testing.assert_array_equal(heard, read_clips(path, duration_s=4.0))
    assert not np.concatenate(list(iter_stream_clips(path, SAMPLING, duration_s=4.0, has_sound=False))).any()


def test_the_kind_of_a_sampling_distinguishes_pictures_and_sound() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(StreamSampling)
    pictures = ClipSampling(clip_rate_hz=2, offsets_s=(0.0,), size_px=16)
    for sampling in (pictures, SAMPLING):
        assert adapter.validate_python(sampling.model_dump()) == sampling
    with pytest.raises(ValidationError, match="kind"):
        adapter.validate_python({"kind": "smell", "clip_rate_hz": 2})


@pytest.mark.parametrize("kind", ["u8", "u8p", "s16", "s16p", "s32", "s32p", "flt", "fltp", "dbl", "dblp"])
def test_every_sample_format_becomes_the_mean_of_its_channels(kind: str) -> None:
    values = np.array([[-1.0, -0.5, 0.0, 0.5], [0.0, 0.5, 0.5, -0.5]])
    types = {"u8": (np.uint8, 128, 128), "s16": (np.int16, 0, 1 << 15), "s32": (np.int32, 0, 1 << 31)}
    dtype, zero, full = types.get(kind.rstrip("p"), (np.float32 if kind.startswith("flt") else np.float64, 0, 1))
    stored = (values * full + zero).astype(dtype)
    frame = AudioFrame.from_ndarray(stored if kind.endswith("p") else stored.T.reshape(1, -1), format=kind, layout="stereo")
    frame.sample_rate = 8000
    np.testing.assert_array_equal(read_channels(frame), values)
    mono = mix_to_mono(frame)
    np.testing.assert_array_equal(mono.to_ndarray(), [[-0.5, 0.0, 0.25, 0.0]])
    assert (mono.sample_rate, mono.layout.name, mono.format.name) == (8000, "mono", "fltp")


def test_nan_becomes_silence_and_loud_samples_are_clipped() -> None:
    frame = AudioFrame.from_ndarray(np.array([[np.nan, np.inf, -np.inf, 1.5]], np.float32), format="fltp", layout="mono")
    frame.sample_rate = 8000
    np.testing.assert_array_equal(read_channels(frame), [[0, 1, -1, 1]])
