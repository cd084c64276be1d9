"""The log-mel encoder: a slow reference loop, tones in their bands, silence, short tones, and errors."""

from math import cos, log10, pi, sin, sqrt

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from corpus.media import SoundSampling
from corpus.schema_files import load_yaml
from corpus.shapes.drawing.sound import TONES
from models.encoders.audio.log_mel import LogMelParams
from models.encoders.audio.mel_scale import compute_centres_hz, compute_filters, hz_to_mel, mel_to_hz
from pipeline.components.presets import PRESETS

PARAMS = LogMelParams.model_validate(load_yaml(PRESETS / "encoder" / "log_mel.yaml"))
SMALL = LogMelParams(
    name="log_mel",
    sampling=SoundSampling(clip_rate_hz=2.0, window_s=0.05, rate_hz=4000),
    frame_s=0.02,
    hop_s=0.005,
    num_bands=8,
    min_hz=100.0,
    max_hz=1800.0,
    num_steps=3,
)
Sound = NDArray[np.float32]


def encode(params: LogMelParams, clips: Sound) -> NDArray[np.float32]:
    """Return (S, J + 1, M)."""
    features = params.build()(torch.from_numpy(clips))
    assert features.shape == (len(clips), 1, (params.num_steps + 1) * params.num_bands)
    return features.reshape(len(clips), params.num_steps + 1, params.num_bands).numpy()


def draw_tone(hz: float, *, amplitude: float = 1.0, params: LogMelParams = PARAMS) -> Sound:
    time_s = np.arange(params.sampling.num_samples) / params.sampling.rate_hz
    return (amplitude * np.sin(2 * pi * hz * time_s)).astype(np.float32)


def compute_slowly(params: LogMelParams, clip: Sound) -> NDArray[np.float64]:
    """Compute the features of one clip sample by sample: (J + 1, M)."""
    rate_hz, frame, hop = params.sampling.rate_hz, params.frame, params.hop
    window = [0.5 - 0.5 * cos(2 * pi * t / frame) for t in range(frame)]
    edges = [hz_to_mel(np.array(hz)).item() for hz in (params.min_hz, params.max_hz)]
    width = (edges[1] - edges[0]) / (params.num_bands + 1)
    levels = []
    for start in range(0, len(clip) - frame + 1, hop):
        bands = [0.0] * params.num_bands
        for k in range(frame // 2 + 1):
            real = sum(float(clip[start + t]) * window[t] * cos(2 * pi * k * t / frame) for t in range(frame))
            imaginary = sum(float(clip[start + t]) * window[t] * sin(2 * pi * k * t / frame) for t in range(frame))
            power = (real**2 + imaginary**2) * (2 / sum(window)) ** 2
            mel = 2595 * log10(1 + k * rate_hz / frame / 700)
            for m in range(params.num_bands):
                bands[m] += power * max(0.0, 1 - abs(mel - (edges[0] + (m + 1) * width)) / width)
        levels.append([10 * log10(max(band, 10 ** (params.floor_db / 10))) for band in bands])
    rows = []
    for step in range(params.num_steps):
        low, high = (edge * len(levels) / params.num_steps for edge in (step, step + 1))
        shares = [max(0.0, min(high, f + 1) - max(low, f)) / (high - low) for f in range(len(levels))]
        means = [sum(share * level[m] for share, level in zip(shares, levels, strict=True)) for m in range(params.num_bands)]
        rows.append([(mean - params.mean_db) / params.scale_db for mean in means])
    middles = [sum(level[m] for level in levels) / len(levels) for m in range(params.num_bands)]
    spreads = [sqrt(sum((level[m] - middles[m]) ** 2 for level in levels) / len(levels)) for m in range(params.num_bands)]
    return np.array([*rows, [spread / params.scale_db for spread in spreads]])


def test_features_agree_with_a_slow_loop() -> None:
    clips = np.random.default_rng(0).uniform(-0.5, 0.5, size=(2, SMALL.sampling.num_samples)).astype(np.float32)
    clips[1, :90] = 0
    expected = np.stack([compute_slowly(SMALL, clip) for clip in clips])
    np.testing.assert_allclose(encode(SMALL, clips), expected, atol=1e-4)


@pytest.mark.parametrize("hz", [147.0, 262.0, 440.0, 880.0, 1000.0, 3000.0, 7000.0])
def test_a_pure_tone_peaks_in_the_band_whose_centre_is_nearest(hz: float) -> None:
    found = encode(PARAMS, draw_tone(hz)[None])[0, :-1].mean(axis=0)  # (M,)
    centres = 700 * (10 ** (np.linspace(*(2595 * np.log10(1 + np.array([60.0, 7600.0]) / 700)), 66)[1:-1] / 2595) - 1)
    distances = np.abs(np.log10(1 + centres / 700) - log10(1 + hz / 700))
    assert int(found.argmax()) in np.argsort(distances)[:2]


def test_a_tone_at_a_bin_and_the_centre_of_a_band_has_the_level_of_its_amplitude() -> None:
    """At 1000 Hz, bin 40: the window spreads a quarter of the power to each neighbouring bin, and the band takes part of it."""
    params = PARAMS.model_copy(
        update={"num_bands": 1, "min_hz": 0.0, "max_hz": mel_to_hz(2 * hz_to_mel(np.array(1000.0))).item()}
    )
    neighbours = [1 - abs(hz_to_mel(np.array(hz)) / hz_to_mel(np.array(1000.0)) - 1) for hz in (975.0, 1025.0)]
    for amplitude in (1.0, 0.1):
        level_db = 10 * log10(amplitude**2 * (1 + 0.25 * sum(neighbours)))
        found = encode(params, draw_tone(1000.0, amplitude=amplitude)[None])[0]
        np.testing.assert_allclose(found[:-1, 0], (level_db + 50) / 20, atol=1e-3)


def test_silence_is_one_constant_and_does_not_vary() -> None:
    clips = np.zeros((3, PARAMS.sampling.num_samples), dtype=np.float32)
    clips[1] = 1e-6 * np.random.default_rng(0).standard_normal(clips.shape[1])  # far below the floor
    found = encode(PARAMS, clips)
    np.testing.assert_allclose(found[:, :-1], (-80 + 50) / 20, atol=1e-6)
    np.testing.assert_array_equal(found[:, -1], 0)


def test_louder_sound_shifts_levels_and_leaves_the_deviation() -> None:
    sound = 0.01 * np.random.default_rng(0).standard_normal((1, PARAMS.sampling.num_samples)).astype(np.float32)
    quiet, loud = encode(PARAMS, sound)[0], encode(PARAMS, 10 * sound)[0]
    np.testing.assert_allclose(loud[:-1] - quiet[:-1], 20 / 20, atol=1e-3)
    np.testing.assert_allclose(loud[-1], quiet[-1], atol=1e-3)


@pytest.mark.parametrize("step", range(8))
def test_a_short_tone_shows_in_the_step_in_which_it_sounds(step: int) -> None:
    clip = draw_tone(440.0, amplitude=0.2)
    at = np.arange(len(clip)) * 8 // len(clip)
    found = encode(PARAMS, np.where(at == step, clip, 0)[None].astype(np.float32))[0, :-1]  # (J, M)
    assert int(found.max(axis=1).argmax()) == step


def test_a_trembling_tone_deviates_more_than_a_steady_one() -> None:
    clip = draw_tone(220.0, amplitude=0.2)
    time_s = np.arange(len(clip)) / PARAMS.sampling.rate_hz
    trembling = (clip * (0.5 + 0.5 * np.cos(2 * pi * 11 * time_s))).astype(np.float32)
    steady, varied = encode(PARAMS, np.stack([clip, trembling]))[:, -1].max(axis=1)
    assert varied > steady + 0.15


def test_the_tones_of_the_drawn_corpus_differ_by_more_than_their_loudness() -> None:
    clips = np.stack([draw_tone(tone.pitch_hz, amplitude=0.18) for tone in TONES.values()])
    found = encode(PARAMS, clips)[:, :-1].mean(axis=1)  # (kinds, M)
    distances = np.linalg.norm(found[:, None] - found[None], axis=-1) + 99 * np.eye(len(found))
    quieter = encode(PARAMS, 0.7 * clips)[:, :-1].mean(axis=1)
    assert distances.min() > np.linalg.norm(found - quieter, axis=-1).min()


def test_filters_are_triangles_that_sum_to_1_between_the_outer_centres() -> None:
    bins_hz = np.linspace(0, 8000, 4001)
    filters = compute_filters(bins_hz, num_bands=10, min_hz=100.0, max_hz=7000.0)
    centres = compute_centres_hz(num_bands=10, min_hz=100.0, max_hz=7000.0)
    inner = (bins_hz >= centres[0]) & (bins_hz <= centres[-1])
    np.testing.assert_allclose(filters[:, inner].sum(axis=0), 1)
    assert not filters[:, (bins_hz <= 100) | (bins_hz >= 7000)].any()
    np.testing.assert_allclose(bins_hz[filters.argmax(axis=1)], centres, atol=2)


def test_the_mel_scale_has_about_1000_mel_at_1000_hz_and_an_inverse() -> None:
    assert hz_to_mel(np.array(1000.0)).item() == pytest.approx(999.99, abs=0.01)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(np.array([0.0, 60.0, 7600.0]))), [0, 60, 7600], atol=1e-9)


def test_clips_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="log_mel reads clips of 16000 samples, got 8000"):
        PARAMS.build()(torch.zeros(2, 8000))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frame_s": 1.5}, r"fit into sampling.window_s = 1.0, got frame_s = 1.5, hop_s = 0.01"),
        ({"hop_s": 0.00001}, "at least a sample .* hop_s = 1e-05"),
        ({"num_steps": 98}, "a frame for each step, got num_steps = 98 and 97 frames"),
        ({"max_hz": 8001.0}, "half of sampling.rate_hz = 16000, got 60.0 and 8001.0"),
        ({"min_hz": 7600.0}, "min_hz < max_hz .* got 7600.0 and 7600.0"),
        ({"num_bands": 200}, r"\d+ of 200 have none: choose fewer num_bands, a higher min_hz, or a longer frame_s than 0.04"),
    ],
)
def test_values_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LogMelParams.model_validate({**PARAMS.model_dump(), **change})
