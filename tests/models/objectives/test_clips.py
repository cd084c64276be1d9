"""Clips of a batch and their augmentation."""

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter

from corpus.moments import Moment
from corpus.records import Query
from models.objectives import ObjectiveParams
from models.objectives.augmentation import brighten_clips, flip_clips, shift_clips
from models.objectives.clips import ClipData, PretrainingVideo, build_pretraining_videos, choose_clips, find_covered


def load_numbered(video_id: str, clips: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return clips whose pixels equal their index."""
    return np.broadcast_to(clips[:, None, None, None, None], (len(clips), 1, 2, 2, 3)).astype(np.uint8)


def build_video(video_id: str, covers: dict[str, list[int]], num_clips: int = 10) -> PretrainingVideo:
    marks = {text: np.isin(np.arange(num_clips), clips) for text, clips in covers.items()}
    return PretrainingVideo(video_id, num_clips, marks)


def draw_clips(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 200, size=(3, 2, 8, 8, 3), dtype=np.uint8)


def test_a_clip_is_covered_when_its_centre_lies_in_a_moment() -> None:
    found = find_covered([Moment(0.5, 1.25), Moment(2.0, 2.25)], 5, clip_rate_hz=2.0)  # centres .25 .75 1.25 1.75 2.25
    assert found.tolist() == [False, True, False, False, False]


def test_a_sentence_known_to_be_true_elsewhere_covers_those_clips_too() -> None:
    moment = Moment(0.0, 1.0)
    query = Query("q", "a", "red moves", (moment,), elsewhere={"b": (Moment(1.0, 2.0),), "unused": (moment,)})
    hidden = Query("r", "a", "hidden", (moment,))
    videos = build_pretraining_videos({"a": 2, "b": 2}, [query, hidden], clip_rate_hz=1.0, reads=lambda text: text != "hidden")
    covers = {video.video_id: {text: marks.tolist() for text, marks in video.covers.items()} for video in videos}
    assert covers == {"a": {"red moves": [True, False]}, "b": {"red moves": [False, True]}}


def test_half_of_the_chosen_clips_are_covered_and_all_are_distinct() -> None:
    video = build_video("a", {"x": [0, 1, 2, 3, 4, 5]}, num_clips=100)
    for seed in range(20):
        chosen = choose_clips(video, 10, np.random.default_rng(seed))
        assert len(set(chosen.tolist())) == 10
        assert (chosen < 6).sum() >= 5


def test_a_short_video_gives_all_its_clips_in_order() -> None:
    assert choose_clips(build_video("a", {}, 4), 10, np.random.default_rng(0)).tolist() == [0, 1, 2, 3]


def test_a_sentence_of_two_videos_is_one_row_that_is_true_in_both() -> None:
    videos = [build_video("a", {"x": [0], "y": [1]}, 3), build_video("b", {"x": [2]}, 3)]
    data = ClipData([build_video("unused", {"z": [0]}), *videos], load_numbered, clip_rate_hz=2.0)
    batch = data.build_batch([1, 2], clips_per_video=3, generator=np.random.default_rng(0))
    assert batch.texts == ("x", "y")
    assert batch.covers.astype(int).tolist() == [[1, 0, 0, 0, 0, 1], [0, 1, 0, 0, 0, 0]]
    assert batch.frames[:, 0, 0, 0, 0].tolist() == [0, 1, 2, 0, 1, 2]
    assert (batch.video_ids, batch.video_index.tolist()) == (("a", "b"), [0, 0, 0, 1, 1, 1])
    assert batch.spans_s.tolist() == [[0.0, 0.5], [0.5, 1.0], [1.0, 1.5]] * 2


def test_a_sentence_whose_clips_were_not_drawn_is_left_out() -> None:
    video = build_video("a", {"x": [0], "y": list(range(1, 50))}, 50)
    data = ClipData([video], load_numbered, clip_rate_hz=2.0)
    batches = [data.build_batch([0], clips_per_video=2, generator=np.random.default_rng(seed)) for seed in range(10)]
    assert any("x" not in batch.texts for batch in batches)
    assert all(batch.covers.any(axis=1).all() for batch in batches)


def test_a_shift_moves_all_frames_of_a_clip_alike_and_repeats_the_edge() -> None:
    ramp = np.broadcast_to(np.arange(8, dtype=np.uint8)[None, None, None, :, None], (20, 2, 8, 8, 3))
    moved = shift_clips(ramp, max_px=2, generator=np.random.default_rng(0))
    rows = {tuple(clip[0, 0, :, 0].tolist()) for clip in moved}
    assert rows == {tuple(np.clip(np.arange(8) + offset, 0, 7).tolist()) for offset in (-2, -1, 0, 1, 2)}
    assert (moved[:, 0] == moved[:, 1]).all()


def test_brightness_scales_a_clip_and_ends_at_255() -> None:
    clips = np.full((50, 1, 2, 2, 3), 250, dtype=np.uint8)
    changed = brighten_clips(clips, amount=0.2, generator=np.random.default_rng(0))
    assert changed.max() == 255
    assert changed.min() >= 200
    assert all(len(np.unique(clip)) == 1 for clip in changed)


def test_only_marked_clips_are_mirrored_and_twice_is_never() -> None:
    clips = draw_clips()
    marks = np.array([True, False, True])
    flipped = flip_clips(clips, marks)
    assert (flipped[0] == clips[0, :, :, ::-1]).all()
    assert (flipped[1] == clips[1]).all()
    assert (flip_clips(flipped, marks) == clips).all()


def test_no_amount_of_augmentation_leaves_the_clips_as_they_are() -> None:
    clips, generator = draw_clips(), np.random.default_rng(0)
    assert (shift_clips(clips, max_px=0, generator=generator) == clips).all()
    assert (brighten_clips(clips, amount=0, generator=generator) == clips).all()


def test_an_unknown_objective_is_refused_with_the_known_names() -> None:
    with pytest.raises(ValueError, match="'mil_nce', 'vicreg', 'none'"):
        TypeAdapter(ObjectiveParams).validate_python({"name": "mil_nec"})
