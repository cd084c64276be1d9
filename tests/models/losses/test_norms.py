"""Regularisers of the length of embeddings."""

import warnings
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from pytorch_metric_learning.regularizers import LpRegularizer
from torch.nn import functional as F

from models.losses.base import NO_DIMS
from models.losses.norm import NormTerm
from models.losses.norm_l2 import NormL2Params
from models.losses.norm_target import NormTargetParams

VECTORS = torch.tensor([[3.0, 4.0], [0.0, 1.0], [0.0, 0.0]])  # of length 5, 1 and 0


def build_l2(**values: Any) -> NormTerm:
    return NormL2Params(name="norm_l2", **values).build(NO_DIMS)


def build_target(**values: Any) -> NormTerm:
    return NormTargetParams(name="norm_target", **values).build(NO_DIMS)


BOTH = pytest.mark.parametrize("build", [build_l2, build_target])


def test_both_by_hand() -> None:
    assert build_l2()(VECTORS).item() == pytest.approx(6 / 3)
    assert build_target(radius=2.0)(VECTORS).item() == pytest.approx((9 + 1 + 4) / 3)


def test_norm_l2_is_the_library_s_regularizer() -> None:
    assert build_l2()(VECTORS).item() == pytest.approx(LpRegularizer(p=2, power=1)(VECTORS).item())


@BOTH
def test_of_features_only_those_of_valid_candidates_count(build: Any) -> None:
    features = torch.stack([VECTORS, 100 * VECTORS])
    valid = torch.tensor([[True, True, True], [False, False, False]])
    assert torch.equal(build(on="features")(features, valid), build()(VECTORS))
    assert build(on="features").inputs == ("features", "valid")
    assert build(on="features")(features, torch.zeros_like(valid)).item() == 0


@BOTH
def test_the_gradient_is_along_the_vector(build: Any) -> None:
    vector = torch.tensor([[3.0, 4.0]], requires_grad=True)
    build()(vector).backward()
    torch.testing.assert_close(F.normalize(vector.grad, dim=-1), torch.tensor([[0.6, 0.8]]))


def test_norm_target_has_no_gradient_at_its_radius() -> None:
    vector = torch.tensor([[3.0, 4.0]], requires_grad=True)
    build_target(radius=5.0)(vector).backward()
    assert vector.grad is not None
    assert not vector.grad.any()


@BOTH
def test_a_vector_of_zeros_has_a_finite_gradient(build: Any) -> None:
    vector = torch.zeros(1, 2, requires_grad=True)
    build()(vector).backward()
    assert vector.grad is not None
    assert vector.grad.isfinite().all()


@BOTH
def test_unit_vectors_warn_once_and_have_no_effect(build: Any) -> None:
    leaf = VECTORS[:2].clone().requires_grad_(True)
    term = build(on="moments")
    with pytest.warns(UserWarning, match="the norms of moments are all 1: this model normalises them"):
        term(F.normalize(leaf, dim=-1)).backward()
    torch.testing.assert_close(leaf.grad, torch.zeros_like(leaf), atol=1e-6, rtol=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        term(F.normalize(leaf, dim=-1))


def test_an_unknown_choice_of_vectors_lists_the_known_ones() -> None:
    with pytest.raises(ValidationError, match="'moments', 'queries' or 'features'"):
        NormL2Params.model_validate({"name": "norm_l2", "on": "words"})
