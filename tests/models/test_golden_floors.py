"""Floors of the public annotation files, recomputed with the readers, grids and prior of this project, IoU >= m.

All spans are fractions of the duration: in seconds, a few overlaps of exactly a threshold round to the other side.
Grids: 16 cells dense for Charades-STA (136 candidates), 64 cells sparse for ActivityNet Captions (1,104), as in 2D-TAN.
"""

from pathlib import Path

import numpy as np
import pytest

from corpus.moments import Floats, compute_cell_spans
from corpus.readers import build_reader
from models.layers.candidate_map import list_candidates
from models.metrics.convention import Figures, IoURule, compute_means
from models.metrics.floors import (
    build_constant_answers,
    build_whole_video_answers,
    normalise_truth,
    rank_frequent_cells,
    scale_unit_spans,
)
from models.metrics.spans import PaddedSpans, compute_best_iou, iterate_chunks, pad_moments
from models.metrics.tan2d import Tan2dConvention

CONVENTION = Tan2dConvention(iou_rule=IoURule.AT_LEAST, max_iou=0.5)
SCALES = {"charades_sta": (16, (16,)), "activitynet_captions": (64, (16, 8, 8))}
R1 = ("R1_iou0.3", "R1_iou0.5", "R1_iou0.7", "mIoU")


class Corpus:
    """Moments of the training and test splits, and the candidates of the grid."""

    def __init__(self, folder: Path, name: str) -> None:
        """Read the public files."""
        found = build_reader(name).read(folder / "annotations" / name)
        num_cells, scale_layers = SCALES[name]
        cells, _ = list_candidates(num_cells, scale_layers)
        self.cells = compute_cell_spans(cells, num_cells=num_cells, duration_s=1.0)
        self.truth: dict[str, PaddedSpans] = {}
        for split in ("train", "test"):
            queries = [query for query in found.queries if query.split == split]
            durations_s = np.array([found.durations_s[query.video_id] for query in queries])
            self.truth[split] = normalise_truth(pad_moments([query.spans for query in queries]), durations_s)
        self.ones = np.ones(len(self.truth["test"].mask))

    def rank_prior(self) -> Floats:
        """Return the most frequent cells of training, best first, after suppression."""
        return rank_frequent_cells(self.truth["train"], self.cells, max_iou=0.5, max_kept=5)

    def find_best(self) -> Floats:
        """Return the overlap of each test moment with its best candidate."""
        truth, best = self.truth["test"], []
        for rows in iterate_chunks(len(truth.mask), len(self.cells)):
            part = PaddedSpans(truth.spans[rows], truth.mask[rows])
            cells = np.broadcast_to(self.cells, (len(part.mask), *self.cells.shape))
            best.append(compute_best_iou(cells, part).max(axis=1))
        return np.concatenate(best)


@pytest.fixture(scope="module", params=list(SCALES))
def corpus(request: pytest.FixtureRequest, shared_dir: Path) -> tuple[str, Corpus]:
    return request.param, Corpus(shared_dir, request.param)


def to_percent(figures: Figures, names: tuple[str, ...]) -> list[float]:
    means = compute_means(figures)
    return [round(100 * means[name], 2) for name in names]


def test_the_grids_have_their_published_numbers_of_candidates(corpus: tuple[str, Corpus]) -> None:
    name, read = corpus
    assert len(read.cells) == {"charades_sta": 136, "activitynet_captions": 1104}[name]


@pytest.mark.slow
def test_chance(corpus: tuple[str, Corpus]) -> None:
    name, read = corpus
    candidates = scale_unit_spans(read.cells, read.ones)
    expected = {"charades_sta": [29.51, 11.97, 3.56, 19.51], "activitynet_captions": [16.37, 6.58, 1.98, 12.44]}
    assert to_percent(CONVENTION.compute_chance(candidates, read.truth["test"]), R1) == expected[name]


def test_the_whole_video(corpus: tuple[str, Corpus]) -> None:
    name, read = corpus
    figures = CONVENTION.compute_figures(build_whole_video_answers(read.ones), read.truth["test"])
    expected = {"charades_sta": [35.00, 0.43, 0.00, 27.13], "activitynet_captions": [48.02, 21.18, 12.41, 34.57]}
    assert to_percent(figures, R1) == expected[name]


@pytest.mark.slow
def test_the_frequency_prior(corpus: tuple[str, Corpus]) -> None:
    name, read = corpus
    answers = build_constant_answers(read.rank_prior(), read.ones)
    figures = CONVENTION.compute_figures(answers, read.truth["test"])
    expected = {
        "charades_sta": [31.88, 19.89, 9.09, 20.66, 58.47, 41.72],
        "activitynet_captions": [48.02, 21.18, 12.41, 34.57, 63.94, 36.43],
    }
    assert to_percent(figures, (*R1, "R5_iou0.5", "R5_iou0.7")) == expected[name]


@pytest.mark.slow
def test_the_best_candidate(corpus: tuple[str, Corpus]) -> None:
    name, read = corpus
    best = read.find_best()
    found = [round(100 * float(np.mean(best >= threshold)), 2) for threshold in (0.5, 0.7)]
    expected = {"charades_sta": [100.0, 99.60, 89.98], "activitynet_captions": [98.94, 97.34, 94.55]}
    assert [*found, round(100 * float(best.mean()), 2)] == expected[name]
