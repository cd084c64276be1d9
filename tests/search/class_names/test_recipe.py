"""The zero-shot recipe: cases by hand, agreement with a slow loop over its sentences, and edges."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from search.class_names.recipe import (
    average_shots,
    compute_shot_times,
    cut_shots,
    pool_frames,
    score,
    weigh_classes,
)


def make_unit(rows: list[list[float]]) -> NDArray[np.float64]:
    vectors = np.array(rows)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def draw_unit(generator: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    return make_unit(generator.normal(size=shape).tolist())


def weigh_slowly(sentence: NDArray[np.float64], names: NDArray[np.float64]) -> dict[int, float]:
    similarities = [max(0.0, sum(a * b for a, b in zip(sentence, name, strict=True))) for name in names]
    best = sorted(range(len(names)), key=lambda row: -similarities[row])[:10]
    total = sum(similarities[row] ** 4 for row in best)
    return {row: similarities[row] ** 4 / total for row in best if similarities[row] > 0}


def pool_slowly(logits: NDArray[np.float64]) -> list[float]:
    count = math.ceil(len(logits) * 3 / 10)
    return [sum(sorted(column, reverse=True)[:count]) / count for column in logits.T.tolist()]


def cut_slowly(features: NDArray[np.float64]) -> list[list[int]]:
    cuts = [0]
    for frame in range(1, len(features)):
        left, right = features[frame - 1], features[frame]
        cosine = left @ right / (np.linalg.norm(left) * np.linalg.norm(right))
        if 1 - cosine > 0.45 and frame - cuts[-1] >= 2 and len(features) - frame >= 2:
            cuts.append(frame)
    return [[first, end] for first, end in zip(cuts, [*cuts[1:], len(features)], strict=True)]


def test_two_names_are_weighted_by_the_fourth_power_of_their_cosines() -> None:
    weights = weigh_classes(np.array([1.0, 0.0]), make_unit([[0.6, 0.8], [0.8, 0.6], [-1.0, 0.0]]))
    assert weights.classes.tolist() == [1, 0]  # the third is on the other side
    assert weights.similarities == pytest.approx([0.8, 0.6])
    assert weights.weights == pytest.approx([0.4096 / 0.5392, 0.1296 / 0.5392])
    assert weights.grounding == pytest.approx(0.8)


def test_the_weights_are_those_of_the_formula_written_as_a_loop() -> None:
    generator = np.random.default_rng(1)
    for _ in range(20):
        sentence, names = draw_unit(generator, 8), draw_unit(generator, 40, 8)
        found = weigh_classes(sentence, names)
        expected = weigh_slowly(sentence, names)
        assert dict(zip(found.classes.tolist(), found.weights.tolist(), strict=True)) == pytest.approx(expected)
        assert found.weights.sum() == pytest.approx(1)


def test_a_sentence_that_no_name_is_near_has_no_classes_and_scores_nothing() -> None:
    weights = weigh_classes(np.array([1.0, 0.0]), make_unit([[-1.0, 0.0], [0.0, 1.0]]))
    assert weights.grounding == 0
    assert len(weights.classes) == 0
    assert score(np.ones((3, 2)), weights).tolist() == [0, 0, 0]


def test_tiny_similarities_are_weighted_without_underflow() -> None:
    weights = weigh_classes(np.array([1.0, 0.0]), np.array([[1e-90, 1.0], [0.5e-90, 1.0]]))
    assert weights.weights == pytest.approx([16 / 17, 1 / 17])


def test_a_video_is_the_mean_of_its_three_best_frames_of_ten_for_each_class() -> None:
    logits = np.stack([np.arange(10.0), -np.arange(10.0)], axis=1)
    assert pool_frames(logits).tolist() == [8.0, -1.0]
    assert pool_frames(logits[:1]).tolist() == [0.0, 0.0]
    assert pool_frames(logits[:4]).tolist() == [2.5, -0.5]  # 1.2 frames are two


@pytest.mark.parametrize("num_frames", [1, 2, 3, 7, 10, 20, 33])
def test_the_pooled_frames_are_those_of_a_loop_in_any_order_of_the_frames(num_frames: int) -> None:
    generator = np.random.default_rng(num_frames)
    logits = generator.normal(size=(num_frames, 6))
    assert pool_frames(logits) == pytest.approx(np.array(pool_slowly(logits)), abs=1e-6)
    assert np.array_equal(pool_frames(logits[generator.permutation(num_frames)]), pool_frames(logits))


def test_logits_are_pooled_raw_so_that_a_shift_of_all_frames_shifts_the_video() -> None:
    logits = np.random.default_rng(0).normal(size=(12, 5))
    assert pool_frames(logits + 3) == pytest.approx(pool_frames(logits) + 3, abs=1e-5)


def test_a_change_of_the_picture_cuts_and_a_flash_of_one_frame_does_not_leave_a_shot_of_one() -> None:
    a, b = [1.0, 0.0], [0.0, 1.0]
    assert cut_shots(np.array([a, a, a, b, b])).tolist() == [[0, 3], [3, 5]]
    assert cut_shots(np.array([a, a, b, a, a])).tolist() == [[0, 2], [2, 5]]  # the way back is one frame later
    assert cut_shots(np.array([a, b, b, b])).tolist() == [[0, 4]]
    assert cut_shots(np.array([a, a, a, b])).tolist() == [[0, 4]]
    assert cut_shots(np.array([a])).tolist() == [[0, 1]]


def test_a_distance_of_the_limit_does_not_cut() -> None:
    def turn(cosine: float) -> list[float]:
        return [cosine, math.sqrt(1 - cosine**2)]

    assert len(cut_shots(np.array([[1.0, 0.0], [1.0, 0.0], turn(0.56), turn(0.56)]))) == 1
    assert len(cut_shots(np.array([[1.0, 0.0], [1.0, 0.0], turn(0.54), turn(0.54)]))) == 2


def test_the_cuts_are_those_of_a_loop_and_do_not_depend_on_lengths() -> None:
    generator = np.random.default_rng(3)
    for _ in range(30):
        features = generator.normal(size=(int(generator.integers(2, 40)), 3)) + 0.7
        assert cut_shots(features).tolist() == cut_slowly(features)
        assert np.array_equal(cut_shots(features * generator.uniform(0.1, 9, size=(len(features), 1))), cut_shots(features))


def test_a_shot_fits_as_the_mean_of_its_frames() -> None:
    logits = np.random.default_rng(5).normal(size=(7, 4)).astype(np.float16)
    shots = np.array([[0, 2], [2, 3], [3, 7]])
    expected = np.stack([logits[first:end].astype(np.float64).mean(axis=0) for first, end in shots])
    assert average_shots(logits, shots) == pytest.approx(expected, abs=1e-6)


def test_a_score_is_the_weighted_sum_over_the_classes() -> None:
    weights = weigh_classes(np.array([1.0, 0.0]), make_unit([[0.6, 0.8], [0.0, 1.0], [0.8, 0.6]]))
    fits = np.array([[1.0, 100.0, 3.0], [2.0, -7.0, 0.0]])
    heavy, light = 0.4096 / 0.5392, 0.1296 / 0.5392
    assert score(fits, weights) == pytest.approx([light + 3 * heavy, 2 * light])


def test_shots_take_the_time_of_their_frames_and_the_last_one_ends_with_the_video() -> None:
    shots = np.array([[0, 3], [3, 9]])
    assert compute_shot_times(shots, frame_rate_hz=2.0, duration_s=4.7).tolist() == [[0.0, 1.5], [1.5, 4.7]]
    assert compute_shot_times(shots, frame_rate_hz=2.0, duration_s=4.3).tolist() == [[0.0, 1.5], [1.5, 4.3]]
