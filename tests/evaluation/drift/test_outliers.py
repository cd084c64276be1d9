"""An outlier is not drift, and a small common shift is no outlier."""

import numpy as np
import pytest
import torch

from corpus.moments import Floats
from evaluation.drift.kernel import compare_mmd
from evaluation.drift.memory_autoencoder import MemoryAutoencoder, RebuildError, compute_entropy, shrink
from evaluation.drift.outliers import METHODS, MahalanobisDistance, NeighbourDistance, find_odd


def draw(rows: int, *, shift: float = 0.0, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(shift, 1.0, (rows, 5))


@pytest.mark.parametrize("method", METHODS)
def test_one_extreme_row_is_odd_and_no_drift(method: str) -> None:
    old, new = draw(300), draw(100, seed=1)
    new[42] = 12
    found = find_odd(method, METHODS[method](old), new, share=0.005)
    assert found.odd[0] == 42
    assert len(found.odd) <= 5
    assert compare_mmd(old, new, num_permutations=199, rng=np.random.default_rng(0)).p_value > 0.05


@pytest.mark.parametrize("method", METHODS)
def test_a_small_common_shift_is_drift_and_not_odd(method: str) -> None:
    old, new = draw(300), draw(100, shift=0.5, seed=1)
    assert len(find_odd(method, METHODS[method](old), new, share=0.005).odd) <= 8
    assert compare_mmd(old, new, num_permutations=199, rng=np.random.default_rng(0)).p_value <= 0.01


def test_distances_by_hand() -> None:
    line = np.arange(10.0)[:, None]
    found = NeighbourDistance(line, 2)
    assert found.score(np.array([[0.0], [12.0]])).tolist() == [1.0, 4.0]  # a row itself, then its neighbour
    assert found.reference[:2].tolist() == [2.0, 1.0]  # no row is its own neighbour
    square = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]] * 50)  # mean 0, covariance the identity
    assert MahalanobisDistance(square).score(np.array([[3.0, 4.0]])) == pytest.approx([5.0], abs=1e-6)


def test_shrinkage_by_hand_and_rows_sum_to_one() -> None:
    weights = torch.tensor([[0.7, 0.2, 0.1], [0.4, 0.3, 0.3]])
    shrunk = shrink(weights, 0.15)
    assert shrunk[0].tolist() == pytest.approx([0.7 / 0.9, 0.2 / 0.9, 0])
    assert shrunk.sum(dim=1).tolist() == pytest.approx([1, 1])
    assert torch.equal(shrink(weights, 0.0).round(decimals=6), weights)


def test_a_memory_of_one_row_rebuilds_everything_alike() -> None:
    model = MemoryAutoencoder(5, num_slots=1)
    model.threshold = 0.0
    rebuilt, weights = model(torch.randn(7, 5))
    assert torch.allclose(rebuilt, rebuilt[:1].expand(7, 5))
    assert compute_entropy(weights).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
def test_the_autoencoder_tells_a_second_cluster_apart() -> None:
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(3, 12))
    old, same = (rng.normal(size=(rows, 3)) @ plane for rows in (400, 100))
    other = rng.normal(size=(100, 12)) * 2
    found = RebuildError(old, num_epochs=25)
    ranks = np.argsort(np.argsort(np.concatenate([found.score(same), found.score(other)])))
    area = (ranks[100:].sum() - 100 * 99 / 2) / 100**2
    assert area > 0.9
    assert np.array_equal(found.score(same), RebuildError(old, num_epochs=25).score(same))
