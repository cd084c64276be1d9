"""Near-duplicates reuse the features of the clip that was encoded last, in groups that do not depend on each other."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from corpus.media import ClipSampling, encode_distinct, iter_clips
from corpus.media.pictures.near_duplicates import CLIPS_PER_GROUP, compute_cell_means, find_distinct
from flat_videos import Flat, write_flat
from small_project import choose_video_encoder

SAMPLING = ClipSampling(clip_rate_hz=2.0, offsets_s=(0.0,), size_px=48)


def paint(*levels: int, size_px: int = 32) -> NDArray[np.uint8]:
    """Return one clip of one grey frame for each level."""
    return np.array(levels, dtype=np.uint8)[:, None, None, None, None] * np.ones((1, 1, size_px, size_px, 3), dtype=np.uint8)


def test_clips_are_compared_with_the_one_that_was_encoded_last() -> None:
    rows, places = find_distinct(compute_cell_means(paint(10, 11, 12, 13, 13, 50)), 3.0)
    assert rows.tolist() == [0, 3, 5]  # a slow change adds up
    assert places.tolist() == [0, 0, 0, 1, 1, 2]


def test_a_change_of_one_cell_or_one_frame_counts() -> None:
    clips = np.zeros((3, 2, 64, 64, 3), dtype=np.uint8)
    clips[1, 1, 4:8, 8:12, 2] = 100
    means = compute_cell_means(clips)
    assert find_distinct(means, 99.0)[0].tolist() == [0, 1, 2]
    assert find_distinct(means, 101.0)[0].tolist() == [0]


def test_every_group_begins_anew() -> None:
    clips = paint(*[7] * (2 * CLIPS_PER_GROUP + 1))
    assert find_distinct(compute_cell_means(clips), 1.0)[0].tolist() == [0, CLIPS_PER_GROUP, 2 * CLIPS_PER_GROUP]


def test_groups_do_not_depend_on_batches() -> None:
    clips = np.random.default_rng(0).integers(0, 5, (3 * CLIPS_PER_GROUP + 5, 1, 8, 8, 3), dtype=np.uint8)

    def encode(some: NDArray[np.uint8]) -> NDArray[np.float32]:
        return some.mean(axis=(1, 2, 3, 4), dtype=np.float32)

    whole = encode_distinct(clips, 3.5, encode)
    assert 3 < len(set(whole.tolist())) < len(clips)
    for size in (CLIPS_PER_GROUP, 2 * CLIPS_PER_GROUP):
        parts = [encode_distinct(clips[start : start + size], 3.5, encode) for start in range(0, len(clips), size)]
        assert np.array_equal(np.concatenate(parts), whole)


def test_a_threshold_of_zero_encodes_every_clip() -> None:
    counts: list[int] = []

    def encode(clips: NDArray[np.uint8]) -> NDArray[np.float32]:
        counts.append(len(clips))
        return np.zeros(len(clips), dtype=np.float32)

    encode_distinct(paint(1, 1, 1), 0.0, encode)
    encode_distinct(paint(1, 1, 1), 0.5, encode)
    assert counts == [3, 1]


@pytest.mark.parametrize("size_px", [1, 8, 16, 33, 224])
def test_cells_are_means_of_squares(size_px: int) -> None:
    clips = np.random.default_rng(size_px).integers(0, 256, (1, 1, size_px, size_px, 3), dtype=np.uint8)
    means, side = compute_cell_means(clips), max(1, size_px // 16)
    assert means.shape[2] == means.shape[3] == size_px // side
    assert means[0, 0, -1, 0] == pytest.approx(clips[0, 0, (means.shape[2] - 1) * side :][:side, :side].mean(axis=(0, 1)))


def test_frames_of_a_still_video_are_near_duplicates(tmp_path: Path) -> None:
    path = write_flat(tmp_path / "still.mp4", Flat((90, 120, 130)), num_frames=100)
    clips = np.concatenate(list(iter_clips(path, SAMPLING, duration_s=10.0)))
    assert find_distinct(compute_cell_means(clips), 1.0)[0].tolist() == [0, CLIPS_PER_GROUP]


def test_the_threshold_is_part_of_the_identity_of_features_unless_it_is_zero() -> None:
    values = SAMPLING.model_dump(mode="json")
    assert "reuse_below" not in values  # features and bundles from before the setting keep their hashes
    other = ClipSampling.model_validate(values | {"reuse_below": 1.5})
    assert other.model_dump(mode="json") == values | {"reuse_below": 1.5}
    with pytest.raises(ValidationError, match="reuse_below"):
        ClipSampling.model_validate(values | {"reuse_below": -1.0})


def test_extraction_and_indexing_reuse_the_same_clips(tmp_path: Path) -> None:
    import torch

    from corpus.media import probe
    from corpus.records import Video
    from pipeline.executors.extraction import encode_video

    path = write_flat(tmp_path / "still.mp4", Flat((90, 120, 130)), num_frames=100)
    info = probe(path)
    facts: Any = {name: getattr(info, name) for name in info.__slots__}
    video = Video(video_id="still", path=path.name, split="test", sha256="0" * 64, **facts)
    sampling = choose_video_encoder().sampling.model_copy(update={"reuse_below": 1.0})
    encoder = choose_video_encoder().model_copy(update={"sampling": sampling}).build().eval()
    lengths: list[int] = []
    encoder.register_forward_pre_hook(lambda module, inputs: lengths.append(inputs[0].shape[1]))
    with torch.no_grad():
        features = encode_video(video, tmp_path, encoder)
    assert len(features) == 20
    assert sum(lengths) == 2 * len(sampling.offsets_s)  # the first clip of each group
