"""Extraction of a sound stream beside a picture stream."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from corpus.files import sha256_file
from corpus.media import ClipSampling, SoundSampling, examine, iter_sound_clips
from corpus.records import Video
from corpus.store import FeatureStore
from corpus.text import Vocabulary
from flashes import FIRST_S, FLASH_S, STEP_S, Recording, write_flashes
from models.artefacts.encoder_files import load_encoders, save_encoders
from models.encoders.audio.log_mel import LogMelParams
from models.encoders.text.word_vectors import WordVectorsParams
from models.encoders.video.place_cnn import PlaceCNNParams
from pipeline.executors.extraction import encode_video, extract

SOUND = LogMelParams(
    name="log_mel",
    sampling=SoundSampling(clip_rate_hz=10.0, window_s=0.1, rate_hz=8000),
    num_bands=16,
    max_hz=4000.0,
    num_steps=1,
)


def describe(path: Path, media_dir: Path) -> Video:
    info = examine(path)
    values = {name: getattr(info, name) for name in info.__slots__}
    name = str(path.relative_to(media_dir))
    return Video(video_id=path.stem, path=name, split="train", sha256=sha256_file(path), **values)


@pytest.fixture(scope="module")
def media_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="module")
def beeping(media_dir: Path) -> Video:
    return describe(write_flashes(media_dir / "beeping.mkv", Recording(length_s=3.0)), media_dir)


@pytest.fixture(scope="module")
def silent(media_dir: Path) -> Video:
    path = write_flashes(media_dir / "silent.mkv", Recording(length_s=2.0, change_sound=lambda packet: None))
    return replace(describe(path, media_dir), has_audio=False)


def save(folder: Path) -> None:
    torch.manual_seed(0)
    sampling = ClipSampling(clip_rate_hz=2.0, offsets_s=(0.0,), size_px=16)
    video = PlaceCNNParams(name="place_cnn", sampling=sampling, channels=(8, 8, 8), dim=4, norm_groups=2)
    text, vocabulary = WordVectorsParams(name="word_vectors", dim=4), Vocabulary(("red",))
    save_encoders(
        folder,
        streams={"video": video.start(), "sound": SOUND.start()},
        text_params=text,
        text=text.build(len(vocabulary)),
        tokenizer=vocabulary,
    )


@pytest.mark.slow
def test_a_store_holds_both_streams_on_their_own_grids(beeping: Video, silent: Video, media_dir: Path, tmp_path: Path) -> None:
    save(tmp_path / "encoder")
    reports = extract(
        [beeping, silent],
        videos_per_shard=2,
        encoder_dir=tmp_path / "encoder",
        media_dir=media_dir,
        out_dir=tmp_path / "features",
        cache_dir=tmp_path / "cache",
    )
    assert {name: report.num_clips for name, report in reports.items()} == {"video": 10, "sound": 50}
    sound = FeatureStore(tmp_path / "features").stream("sound")
    assert sound.clip_rate_hz == 10.0
    assert sound.feature_shape == (1, 32)
    clips = np.concatenate(list(iter_sound_clips(media_dir / "beeping.mkv", SOUND.sampling, duration_s=beeping.duration_s)))
    encoder = load_encoders(tmp_path / "encoder").streams["sound"].encoder
    np.testing.assert_array_equal(sound.load("beeping"), encoder.encode_clips(torch.from_numpy(clips)).half().numpy())


def test_the_loudest_clips_beep(beeping: Video, media_dir: Path) -> None:
    features = encode_video(beeping, media_dir, SOUND.build())[:, 0, :16].max(axis=1)
    centres_s = (np.arange(len(features)) + 0.5) / 10
    beeps = (centres_s - FIRST_S) % STEP_S < FLASH_S
    assert features[beeps].min() > features[~beeps].max() + 0.5


def test_a_video_without_sound_is_silent_and_so_is_one_whose_sound_counts_as_missing(
    beeping: Video, silent: Video, media_dir: Path
) -> None:
    for video in (silent, replace(beeping, has_audio=False)):
        found = encode_video(video, media_dir, SOUND.build())
        np.testing.assert_array_equal(found[..., :16], np.float16((SOUND.floor_db - SOUND.mean_db) / SOUND.scale_db))
        np.testing.assert_array_equal(found[..., 16:], 0)
