"""MIL-NCE with an angular term."""

import math
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from models.losses.base import NO_DIMS
from models.losses.mil_nce import MILNCEParams
from models.losses.mil_nce_angular import MILNCEAngularLoss, MILNCEAngularParams

MATCHES = torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=torch.bool)  # the first two rows match
GENERATOR = torch.Generator().manual_seed(5)
MOMENTS, QUERIES = torch.randn(3, 4, generator=GENERATOR), torch.randn(3, 4, generator=GENERATOR)
QUERIES[1] = 2 * MOMENTS[0]  # the best query of the first moment is that of the second row


def build(**values: Any) -> MILNCEAngularLoss:
    return MILNCEAngularParams(name="mil_nce_angular", **values).build(NO_DIMS)


@pytest.mark.parametrize(("weight", "epoch"), [(0.0, 3.0), (0.5, 0.0)])
def test_without_weight_and_at_the_start_of_its_ramp_it_is_mil_nce_bit_for_bit(weight: float, epoch: float) -> None:
    plain = MILNCEParams(name="mil_nce", temperature=0.3).build(NO_DIMS)(MOMENTS, QUERIES, MATCHES)
    assert torch.equal(build(angular_weight=weight, temperature=0.3)(MOMENTS, QUERIES, MATCHES, epoch), plain)


def test_the_angular_term_agrees_with_a_slow_loop() -> None:
    slope = math.tan(math.radians(40)) ** 2
    moments, queries = F.normalize(MOMENTS, dim=-1), F.normalize(QUERIES, dim=-1)
    total = 0.0
    for i in range(3):
        bag = [k for k in range(3) if MATCHES[i, k] or i == k]
        best = queries[max(bag, key=lambda k: (MOMENTS[i] @ QUERIES[k]).item())]
        pull = 2 * (1 + slope) * (moments[i] @ best).item()
        others = [queries[k] for k in range(3) if k not in bag]
        exponents = [4 * slope * ((moments[i] + best) @ other).item() - pull for other in others]
        total += math.log(1 + sum(map(math.exp, exponents))) / 3
    plain = build(angular_weight=0.0)(MOMENTS, QUERIES, MATCHES, 9.0).item()
    loss = build(angular_weight=2.0, angle_degrees=40.0)(MOMENTS, QUERIES, MATCHES, 9.0)
    assert loss.item() == pytest.approx(plain + 2 * total, rel=1e-5)


def test_orthonormal_pairs_have_a_closed_form() -> None:
    """At 45 degrees the exponent is 4 (v + q).n - 4 v.q = -4 for each of the B - 1 others."""
    pairs, nothing = torch.eye(3), torch.zeros(3, 3, dtype=torch.bool)
    difference = build(angular_weight=1.0)(pairs, pairs, nothing, 1.0) - build(angular_weight=0.0)(pairs, pairs, nothing, 1.0)
    assert difference.item() == pytest.approx(math.log(1 + 2 * math.exp(-4)), rel=1e-5)


def test_the_length_of_vectors_changes_the_mil_nce_part_only() -> None:
    differences = []
    for size in (1.0, 3.0):
        on, off = build(angular_weight=1.0), build(angular_weight=0.0)
        given = (size * MOMENTS, size * QUERIES, MATCHES, 1.0)
        differences.append((on(*given) - off(*given)).item())
    assert differences[0] == pytest.approx(differences[1], rel=1e-4)


@pytest.mark.parametrize(("epoch", "weight"), [(0.0, 0.0), (0.5, 0.1), (2.0, 0.4), (7.0, 0.4)])
def test_the_weight_grows_evenly_over_its_ramp(epoch: float, weight: float) -> None:
    assert build(angular_weight=0.4, ramp_epochs=2.0).compute_angular_weight(epoch) == pytest.approx(weight)
    assert build(angular_weight=0.4, ramp_epochs=0.0).compute_angular_weight(epoch) == 0.4
