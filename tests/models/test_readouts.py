"""Training-free localizers: each agrees with a slow loop written from its paper, in batches of videos of several lengths."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from readout_references import Span, contrast, cut_shots, find_maximal, grow_peaks, merge_runs, propose_tag
from streams import as_video, video_dims
from torch import Tensor

from models.contracts.batches import Candidates, TextFeatures
from models.layers.dense_grid import DenseGrid
from models.layers.place_alignment import compute_cell_cosines, compute_cell_scores, compute_place_scores
from models.localizers.readouts.readout_max_subarray import MaxSubarrayParams
from models.localizers.readouts.readout_peak_width import PeakWidth, PeakWidthParams, find_extents, find_peaks
from models.localizers.readouts.readout_shots import ShotsParams, find_cuts
from models.localizers.readouts.readout_threshold_merge import ThresholdMergeParams
from models.localizers.readouts.readout_watershed import WatershedParams, rescale
from models.localizers.readouts.readout_window_contrast import WindowContrastParams
from models.localizers.readouts.similarity import GridReadout, Readings, ReadoutValues, smooth, standardise

NUM_CELLS, DIM = 20, 4
LENGTHS = (20, 13, 1, 7, 20, 2)  # cells inside each video
DIMS = video_dims(dim=DIM, num_places=2, text_dim=DIM)
GRID = DenseGrid(NUM_CELLS)


def make_mask() -> Tensor:
    return torch.arange(NUM_CELLS)[None] < torch.tensor(LENGTHS)[:, None]


def make_curves(seed: int) -> Tensor:
    """Return standardised random walks, which have wide and narrow basins."""
    steps = torch.randn(len(LENGTHS), NUM_CELLS, generator=torch.Generator().manual_seed(seed))
    return standardise(steps.cumsum(1) + steps, make_mask())


def make_places(seed: int) -> Tensor:
    return torch.randn(len(LENGTHS), NUM_CELLS, 2, DIM, generator=torch.Generator().manual_seed(seed))


def list_answers(found: Readings, row: int) -> set[Span]:
    """Return the answers of a row that end inside its video."""
    is_answer = found.is_answer[row] & make_mask()[row, GRID.last]
    return set(zip(GRID.first[is_answer].tolist(), GRID.last[is_answer].tolist(), strict=True))


def read(params: ReadoutValues, curve: Tensor, places: Tensor | None = None) -> Readings:
    model = params.build(DIMS)
    assert isinstance(model, GridReadout)
    return model.read(curve, make_mask(), make_places(0) if places is None else places)


def score_of(found: Readings, row: int, span: Span) -> float:
    index = int(((GRID.first == span[0]) & (GRID.last == span[1])).nonzero())
    return found.scores[row, index].item()


def cut(curve: Tensor, row: int) -> list[float]:
    return curve[row, : LENGTHS[row]].tolist()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("step", ["1/20", "1/10", "1/4"])
def test_watershed_proposes_what_the_paper_proposes(seed: int, step: str) -> None:
    curve = make_curves(seed)
    found = read(WatershedParams(name="readout_watershed", num_cells=NUM_CELLS, step=float(Fraction(step))), curve)
    scaled = rescale(curve, make_mask())
    for row in range(len(LENGTHS)):
        assert list_answers(found, row) == propose_tag(cut(scaled, row), Fraction(step))


def test_proposals_of_watershed_are_scored_by_their_excess_over_the_level() -> None:
    curve = make_curves(0)
    found = read(WatershedParams(name="readout_watershed", num_cells=NUM_CELLS, level=0.3), curve)
    values = [value - 0.3 * max(cut(curve, 1)) for value in cut(curve, 1)]
    for first, last in list_answers(found, 1):
        assert score_of(found, 1, (first, last)) == pytest.approx(sum(values[first : last + 1]), abs=1e-5)


def test_watershed_absorbs_a_basin_by_hand() -> None:
    curve = torch.full((1, NUM_CELLS), -1.0)
    curve[0, [4, 5, 6, 8, 9]] = 1.0  # shares of the first stretch 3 / 3, of the second 5 / 6
    mask = torch.ones(1, NUM_CELLS, dtype=torch.bool)
    found = WatershedParams(name="readout_watershed", num_cells=NUM_CELLS).build(DIMS).read(curve, mask, make_places(0)[:1])
    assert set(zip(GRID.first[found.is_answer[0]].tolist(), GRID.last[found.is_answer[0]].tolist(), strict=True)) == {
        (4, 6),
        (4, 9),
        (8, 9),
    }


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("level", [0.0, 0.3, 0.6])
def test_maximal_subarrays_are_those_of_repeated_search(seed: int, level: float) -> None:
    curve = make_curves(seed)
    found = read(MaxSubarrayParams(name="readout_max_subarray", num_cells=NUM_CELLS, level=level), curve)
    for row in range(len(LENGTHS)):
        values = [value - level * max(cut(curve, row)) for value in cut(curve, row)]
        expected = find_maximal(values)
        assert list_answers(found, row) == set(expected)
        for first, last in expected:
            assert score_of(found, row, (first, last)) == pytest.approx(sum(values[first : last + 1]), abs=1e-5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("max_gap", [0, 1, 3])
def test_runs_above_the_threshold_are_merged_across_short_gaps(seed: int, max_gap: int) -> None:
    curve = make_curves(seed)
    params = ThresholdMergeParams(name="readout_threshold_merge", num_cells=NUM_CELLS, threshold=0.3, max_gap_cells=max_gap)
    found = read(params, curve)
    for row in range(len(LENGTHS)):
        expected = merge_runs([value > 0.3 for value in cut(curve, row)], max_gap)
        assert list_answers(found, row) == set(expected)
        for first, last in expected:
            assert score_of(found, row, (first, last)) == pytest.approx(np.mean(cut(curve, row)[first : last + 1]), abs=1e-5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("min_distance", "min_cells"), [(0.45, 2), (0.9, 1), (0.2, 4), (3.0, 1)])
def test_shots_lie_between_cuts(seed: int, min_distance: float, min_cells: int) -> None:
    curve, places = make_curves(seed), make_places(seed)
    params = ShotsParams(name="readout_shots", num_cells=NUM_CELLS, min_distance=min_distance, min_cells=min_cells)
    found = read(params, curve, places * make_mask()[..., None, None])
    for row, length in enumerate(LENGTHS):
        expected = cut_shots(places[row, :length].mean(1).numpy(), min_distance, min_cells)
        assert list_answers(found, row) == set(expected)
        for first, last in expected:
            assert score_of(found, row, (first, last)) == pytest.approx(np.mean(cut(curve, row)[first : last + 1]), abs=1e-5)


def test_of_two_equal_cuts_the_first_counts() -> None:
    places = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])[None, :, None]
    mask = torch.ones(1, 4, dtype=torch.bool)
    assert find_cuts(places, mask, min_distance=0.5, min_cells=2).tolist() == [[True, True, False, False]]
    assert find_cuts(places, mask, min_distance=0.5, min_cells=1).tolist() == [[True, True, True, False]]


@pytest.mark.parametrize(
    ("exponent", "share", "weight"), [(0.0, 1.0, 1.0), (0.3, 0.5, 0.5), (1.0, 2.0, 0.7), (0.5, NUM_CELLS, 1.0)]
)
def test_windows_are_scored_by_their_contrast(exponent: float, share: float, weight: float) -> None:
    curve = make_curves(1)
    values = {"exponent": exponent, "flank_share": share, "flank_weight": weight}
    params = WindowContrastParams.model_validate(
        {"name": "readout_window_contrast", "num_cells": NUM_CELLS, "max_cells": 9, **values}
    )
    found = read(params, curve)
    for row, length in enumerate(LENGTHS):
        spans = {(first, last) for first in range(length) for last in range(first, min(length, first + 9))}
        assert list_answers(found, row) == spans
        for span in spans:
            assert score_of(found, row, span) == pytest.approx(contrast(cut(curve, row), span, **values), abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_peaks_reach_as_far_as_the_curve_stays_above_a_share_of_their_height(seed: int, share: float) -> None:
    curve, mask = make_curves(seed), make_mask()
    heights = smooth(curve, mask, num_cells=3).masked_fill(~mask, 0.0)
    is_peak, (first, last) = find_peaks(heights, mask), find_extents(curve, mask, share=share)
    for row in range(len(LENGTHS)):
        peaks = is_peak[row].nonzero()[:, 0].tolist()
        found = {(first[row, peak].item(), last[row, peak].item()) for peak in peaks}
        expected = grow_peaks(cut(curve, row), cut(heights, row), share)
        assert found == set(expected)
        assert max(heights[row, peak].item() for peak in peaks) == pytest.approx(max(expected.values()))


def test_a_plateau_is_one_peak_at_its_first_cell() -> None:
    heights = torch.tensor([[0.0, 2.0, 2.0, 1.0, 3.0]])
    assert find_peaks(heights, torch.ones(1, 5, dtype=torch.bool)).tolist() == [[False, True, False, False, True]]


def test_smoothing_takes_the_mean_of_the_cells_inside_the_video() -> None:
    curve = torch.tensor([[1.0, 2.0, 6.0, 100.0]])
    mask = torch.tensor([[True, True, True, False]])
    assert smooth(curve, mask, num_cells=3)[0, :3].tolist() == pytest.approx([1.5, 3.0, 4.0])
    assert smooth(curve, mask, num_cells=1) is curve


def test_a_standardised_curve_has_mean_0_and_deviation_1_inside_the_video_and_a_constant_one_is_0() -> None:
    curve = make_curves(3)
    for row, length in enumerate(LENGTHS):
        inside = curve[row, :length]
        assert inside.mean().item() == pytest.approx(0.0, abs=1e-5)
        assert inside.std(unbiased=False).item() == pytest.approx(float(length > 1), abs=1e-4)
        assert (curve[row, length:] == 0).all()
    assert (standardise(torch.full((1, 4), 7.0), torch.ones(1, 4, dtype=torch.bool)) == 0).all()


def test_an_even_smoothing_is_refused() -> None:
    with pytest.raises(ValueError, match="a moving mean needs an odd number of cells, so that it is centred, got 4"):
        WindowContrastParams(name="readout_window_contrast", smoothing_cells=4)


def locate(params: ReadoutValues, similarity: Tensor) -> Candidates:
    """Localize in a video of 20 s whose cells have this similarity with the sentence."""
    places = torch.zeros(1, NUM_CELLS, 2, DIM)
    places[0, :, 1, 0] = similarity
    places[0, :, 0, 0] = -50.0  # a place that the sentence does not fit
    text = torch.eye(DIM)[:1]
    model = params.build(DIMS)
    video = as_video(places, torch.ones(1, NUM_CELLS, dtype=torch.bool), torch.tensor([20.0]))
    found = model(video, TextFeatures(text[:, None], torch.ones(1, 1, dtype=torch.bool), text))
    assert isinstance(found, Candidates)
    return found


READOUTS = [
    WindowContrastParams(name="readout_window_contrast", num_cells=NUM_CELLS, similarity="log_sum_exp", max_cells=15),
    PeakWidthParams(name="readout_peak_width", num_cells=NUM_CELLS, similarity="log_sum_exp"),
    MaxSubarrayParams(name="readout_max_subarray", num_cells=NUM_CELLS, similarity="log_sum_exp"),
    ThresholdMergeParams(name="readout_threshold_merge", num_cells=NUM_CELLS, similarity="log_sum_exp"),
    WatershedParams(name="readout_watershed", num_cells=NUM_CELLS, similarity="log_sum_exp"),
]


@pytest.mark.parametrize("params", READOUTS, ids=lambda params: params.name)
def test_the_best_answer_is_the_stretch_that_the_sentence_fits_best(params: ReadoutValues) -> None:
    similarity = torch.zeros(NUM_CELLS)
    similarity[3:8], similarity[13:15] = 3.0, 1.5
    found = locate(params, similarity)
    best = found.scores.masked_fill(~found.valid, -torch.inf).argmax()
    assert found.spans[0, best].tolist() == [3.0, 8.0]


@pytest.mark.parametrize("params", READOUTS[2:], ids=lambda params: params.name)
def test_without_an_answer_the_whole_video_is_the_answer(params: ReadoutValues) -> None:
    found = locate(params, torch.zeros(NUM_CELLS))
    assert found.spans[found.valid].tolist() == [[0.0, 20.0]]


def test_readouts_that_share_a_similarity_answer_as_each_alone() -> None:
    shared = {"name": "readout_peak_width", "num_cells": NUM_CELLS}
    values: list[dict[str, object]] = [
        {},
        {"similarity": "cosine"},
        {},
        {"share": 0.3},
        {"similarity": "cosine", "smoothing_cells": 3},
    ]
    models = [PeakWidthParams.model_validate({**shared, **own}).build(DIMS) for own in values]
    texts = torch.randn(len(LENGTHS), DIM, generator=torch.Generator().manual_seed(6))
    text = TextFeatures(texts[:, None], torch.ones(len(LENGTHS), 1, dtype=torch.bool), texts)
    video = as_video(make_places(5), make_mask(), torch.full((len(LENGTHS),), 20.0))
    together = list(PeakWidth.answer_all(models, video, text))
    assert len(together) == len(models)
    for model, found in zip(models, together, strict=True):
        alone = model(video, text)
        assert torch.equal(found.spans, alone.spans)
        assert torch.equal(found.scores, alone.scores)
        assert torch.equal(found.valid, alone.valid)


def test_the_curve_is_the_score_that_pretraining_gives() -> None:
    places, texts = make_places(5), torch.randn(len(LENGTHS), DIM, generator=torch.Generator().manual_seed(6))
    of_cells = compute_cell_scores(places, texts)
    for row in range(len(LENGTHS)):
        torch.testing.assert_close(of_cells[row], compute_place_scores(places[row], texts[row : row + 1])[0])


def test_cosines_of_clips_with_one_place_are_those_of_clip_and_of_several_a_smooth_maximum() -> None:
    places, texts = make_places(5), torch.randn(len(LENGTHS), DIM, generator=torch.Generator().manual_seed(6))
    cosines = torch.nn.functional.cosine_similarity(places, texts[:, None, None], dim=-1)  # (B, N, P)
    torch.testing.assert_close(compute_cell_cosines(places[:, :, :1], 7 * texts), cosines[..., 0], atol=1e-5, rtol=1e-4)
    of_cells = compute_cell_cosines(places, texts)
    assert ((of_cells >= cosines.amax(-1) - 1e-6) & (of_cells <= cosines.amax(-1) + 0.05 * 0.6932)).all()


def test_places_and_sentences_of_different_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="a readout compares clips .* the width of video, 4, must equal text_dim=6"):
        READOUTS[0].build(video_dims(dim=4, num_places=2, text_dim=6))
