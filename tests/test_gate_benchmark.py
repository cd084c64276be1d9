"""The calibration of the gate, by simulations whose outcome is known."""

import numpy as np
import pytest
from gate_calibration import Seeds, Trial, count_null_promotions, draw_pair, estimate_power, find_smallest, load_rules

from evaluation.tables.slices import Slice

NUM_VIDEOS, PER_VIDEO = 80, 5
VIDEOS = np.repeat(np.arange(NUM_VIDEOS), PER_VIDEO)


def draw_seeds() -> Seeds:
    rng = np.random.default_rng(11)
    easy = rng.random(len(VIDEOS)) < 0.6
    hits = np.array([np.where(rng.random(len(VIDEOS)) < 0.2, ~easy, easy) for _ in range(2)]).astype(np.float64)
    groups = ("query length", "moment length")
    slices = tuple(Slice(group, "even", np.arange(len(VIDEOS)) % 2 == 0) for group in groups)
    return Seeds(dict.fromkeys(("R1_iou0.5", "R1_iou0.7", "mIoU"), hits), VIDEOS, slices)


def test_a_null_challenger_swaps_whole_videos_and_keeps_every_result() -> None:
    seeds = draw_seeds()
    null = seeds.draw_null(np.random.default_rng(1))
    before, after = seeds.figures["mIoU"], null.figures["mIoU"]
    np.testing.assert_array_equal(np.sort(before, axis=0), np.sort(after, axis=0))
    kept = (before == after).all(axis=0).reshape(NUM_VIDEOS, PER_VIDEO)
    swapped = (before[::-1] == after).all(axis=0).reshape(NUM_VIDEOS, PER_VIDEO)
    assert (kept.all(axis=1) | swapped.all(axis=1)).all()


@pytest.mark.slow
def test_at_most_16_of_200_challengers_without_a_gain_are_promoted() -> None:
    rules = load_rules().model_copy(update={"samples": 500})
    assert count_null_promotions(draw_seeds(), rules, count=200, seed=3)["promoted"] <= 16


def test_a_drawn_gain_has_its_size_on_average_and_grows_the_power() -> None:
    seeds, rng = draw_seeds(), np.random.default_rng(2)
    rows_of = [np.flatnonzero(video == VIDEOS) for video in range(NUM_VIDEOS)]
    trial = Trial(0.1, NUM_VIDEOS, 1)
    pairs = [draw_pair(seeds.figures["mIoU"], rows_of, trial, rng) for _ in range(200)]
    assert np.mean([(pair.challenger - pair.champion).mean() for pair in pairs]) == pytest.approx(0.1, abs=0.01)
    rules = load_rules()
    powers = [estimate_power(seeds, rules, Trial(gain, NUM_VIDEOS, 20), seed=4) for gain in (0.0, 0.2)]
    assert powers[0] < 0.3
    assert powers[1] == 1.0


def test_the_smallest_value_with_the_wanted_power_is_found_by_bisection() -> None:
    for smallest in range(1, 10):
        found = find_smallest(range(1, 10), lambda value, first=smallest: 0.8 if value >= first else 0.79)
        assert found.smallest == smallest
        assert len(found.tried) <= 4
    assert find_smallest((1, 2), lambda _: 0.5) == (None, [(2, 0.5)])
