"""The set loss: matching against all permutations, values against a slow loop and by hand, and invariances."""

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import Candidates, LossDims, Targets
from models.layers.spans import compute_generalized_iou, compute_pairwise_iou
from models.losses.base import NO_DIMS
from models.losses.hungarian_set import HungarianSetLoss, HungarianSetParams, match, to_centre_width

DURATION_S = torch.tensor([20.0, 50.0, 10.0])


def build(**values: float) -> HungarianSetLoss:
    return HungarianSetParams.model_validate({"name": "hungarian_set", **values}).build(LossDims(4, {}))


def draw_candidates(seed: int = 0, num_candidates: int = 5) -> Candidates:
    generator = torch.Generator().manual_seed(seed)
    spans = torch.rand(3, num_candidates, 2, generator=generator).sort(-1).values * DURATION_S[:, None, None]
    scores = torch.randn(3, num_candidates, generator=generator)
    features = torch.randn(3, num_candidates, 4, generator=generator)
    query = torch.randn(3, 4, generator=generator)
    return Candidates(spans, scores, torch.ones(3, num_candidates, dtype=torch.bool), features=features, query=query)


@pytest.fixture
def candidates() -> Candidates:
    return draw_candidates()


@pytest.fixture
def targets() -> Targets:
    """Two, one and three true moments."""
    spans = torch.rand(3, 3, 2, generator=torch.Generator().manual_seed(9)).sort(-1).values * DURATION_S[:, None, None]
    mask = torch.tensor([[True, True, False], [True, False, False], [True, True, True]])
    return Targets(spans * mask[..., None], mask, torch.arange(3), torch.arange(3))


def permute(candidates: Candidates, order: list[int]) -> Candidates:
    assert candidates.features is not None
    return candidates._replace(
        spans=candidates.spans[:, order],
        scores=candidates.scores[:, order],
        valid=candidates.valid[:, order],
        features=candidates.features[:, order],
    )


def compute_slowly(candidates: Candidates, targets: Targets) -> Tensor:
    """Return the authors' loss with their weights, pair by pair, with a matching that tries every assignment."""
    distances, overlaps, classes = [], [], []
    for row in range(len(DURATION_S)):
        spans = candidates.spans[row] / DURATION_S[row]
        true = [span / DURATION_S[row] for span, real in zip(targets.spans[row], targets.mask[row], strict=True) if real]

        def measure(index: int, moment: Tensor, spans: Tensor = spans) -> tuple[Tensor, Tensor]:
            distance = (spans[index].mean() - moment.mean()).abs() + ((spans[index] - moment) * torch.tensor([-1, 1])).sum().abs()
            hull = torch.maximum(spans[index, 1], moment[1]) - torch.minimum(spans[index, 0], moment[0])
            iou = compute_pairwise_iou(spans[index][None], moment[None])[0, 0]
            covered = (spans[index, 1] - spans[index, 0]) + (moment[1] - moment[0])
            union = covered / (1 + iou)  # |A| + |B| - I, with I = iou * union
            return distance, iou - (hull - union) / hull

        def price(chosen: tuple[int, ...], true: list[Tensor] = true, row: int = row) -> float:
            pairs = [measure(index, moment) for index, moment in zip(chosen, true, strict=True)]
            probabilities = candidates.scores[row, list(chosen)].sigmoid()
            return float(sum(10 * left + (1 - right) for left, right in pairs) - 4 * probabilities.sum())

        best = min(itertools.permutations(range(len(spans)), len(true)), key=price)
        for index, moment in zip(best, true, strict=True):
            distance, overlap = measure(index, moment)
            distances.append(distance / 2)  # the mean over centre and width
            overlaps.append(overlap)
        for index, score in enumerate(candidates.scores[row]):
            classes.append(-F.logsigmoid(score) if index in best else -0.1 * F.logsigmoid(-score))
    return 10 * torch.stack(distances).mean() + (1 - torch.stack(overlaps)).mean() + 4 * torch.stack(classes).mean()


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_equals_a_slow_one_that_tries_every_assignment(seed: int, targets: Targets) -> None:
    candidates = draw_candidates(seed)
    torch.testing.assert_close(build()(candidates, targets, DURATION_S), compute_slowly(candidates, targets))


@pytest.mark.parametrize("num_moments", [1, 3, 6])
def test_matching_is_the_cheapest_of_all_assignments(num_moments: int) -> None:
    cost = torch.randn(1, 4, num_moments, generator=torch.Generator().manual_seed(num_moments))
    pairs = match(cost, torch.ones(1, 4, dtype=torch.bool), torch.ones(1, num_moments, dtype=torch.bool))
    count = min(4, num_moments)
    best = min(
        float(sum(cost[0, candidate, moment] for candidate, moment in zip(chosen, found, strict=True)))
        for chosen in itertools.permutations(range(4), count)
        for found in itertools.combinations(range(num_moments), count)
    )
    assert len(pairs.row) == count
    assert len(set(pairs.candidate.tolist())) == len(set(pairs.moment.tolist())) == count
    assert cost[0, pairs.candidate, pairs.moment].sum().item() == pytest.approx(best, abs=1e-5)


def test_invalid_candidates_and_masked_moments_are_never_matched() -> None:
    cost = torch.zeros(2, 3, 2)
    cost[:, 0], cost[:, :, 1] = -9.0, -9.0
    valid, mask = torch.tensor([[False, True, True]] * 2), torch.tensor([[True, False], [False, False]])
    pairs = match(cost, valid, mask)
    assert pairs.row.tolist() == [0]
    assert pairs.moment.tolist() == [0]
    assert pairs.candidate.item() in (1, 2)


def test_the_order_of_candidates_and_of_moments_does_not_matter(candidates: Candidates, targets: Targets) -> None:
    loss = build(align_weight=0.5)
    expected = loss(candidates, targets, DURATION_S)
    torch.testing.assert_close(loss(permute(candidates, [3, 1, 4, 0, 2]), targets, DURATION_S), expected)
    turned = targets._replace(spans=targets.spans[:, [2, 0, 1]], mask=targets.mask[:, [2, 0, 1]])
    torch.testing.assert_close(loss(candidates, turned, DURATION_S), expected)


def test_longer_videos_of_the_same_shares_give_the_same_loss(candidates: Candidates, targets: Targets) -> None:
    longer = build()(candidates._replace(spans=7 * candidates.spans), targets._replace(spans=7 * targets.spans), 7 * DURATION_S)
    torch.testing.assert_close(longer, build()(candidates, targets, DURATION_S))


def test_perfect_spans_with_sure_classes_cost_nothing(targets: Targets) -> None:
    scores = torch.where(targets.mask, 40.0, -40.0)
    perfect = Candidates(targets.spans, scores, torch.ones_like(targets.mask))
    loss = build()
    assert loss(perfect, targets, DURATION_S).item() == pytest.approx(0.0, abs=1e-6)
    assert loss.collect_report() == pytest.approx({"span": 0.0, "generalized_iou": 0.0, "class": 0.0}, abs=1e-6)
    assert loss.collect_report() == {}


def test_one_pair_by_hand() -> None:
    """Centre .25 and width .5 against centre .75 and width .5 of one video: L1 mean .25, gIoU 0, p = .5."""
    candidates = Candidates(torch.tensor([[[0.0, 5.0]]]), torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool))
    mask = torch.ones(1, 1, dtype=torch.bool)
    targets = Targets(torch.tensor([[[5.0, 10.0]]]), mask, torch.zeros(1), torch.zeros(1))
    found = build()(candidates, targets, torch.tensor([10.0]))
    assert found.item() == pytest.approx(10 * 0.25 + 1 + 4 * math.log(2))


def test_every_layer_of_the_decoder_is_matched_and_counted_on_its_own(targets: Targets) -> None:
    first, last = draw_candidates(1), draw_candidates(2)
    both = build()(last._replace(auxiliary=(first,)), targets, DURATION_S)
    torch.testing.assert_close(both, build()(first, targets, DURATION_S) + build()(last, targets, DURATION_S))


def test_without_true_moments_only_the_background_counts(candidates: Candidates, targets: Targets) -> None:
    nothing = targets._replace(mask=torch.zeros_like(targets.mask))
    expected = 4 * 0.1 * F.softplus(candidates.scores).mean()
    torch.testing.assert_close(build()(candidates, nothing, DURATION_S), expected)


def test_invalid_candidates_count_in_nothing(candidates: Candidates, targets: Targets) -> None:
    wider = permute(candidates, [0, 1, 2, 3, 4, 0])
    wider = wider._replace(valid=torch.tensor([[True] * 5 + [False]] * 3))
    loss = build(align_weight=0.5)
    torch.testing.assert_close(loss(wider, targets, DURATION_S), loss(candidates, targets, DURATION_S))


def test_alignment_is_the_surprise_at_the_matched_candidate(candidates: Candidates, targets: Targets) -> None:
    one = Targets(targets.spans[:, :1], targets.mask[:, :1], targets.video_index, targets.text_index)
    spans = torch.cat([one.spans, candidates.spans[:, 1:]], dim=1)  # the first candidate is the true moment
    candidates = candidates._replace(spans=spans, scores=candidates.scores * 0)
    assert candidates.features is not None
    assert candidates.query is not None
    logits = torch.einsum("bme,be->bm", candidates.features, candidates.query) / 0.5
    expected = -logits.log_softmax(1)[:, 0].mean()
    values = {"span_weight": 10.0, "generalized_iou_weight": 0.0, "class_weight": 0.0, "align_temperature": 0.5}
    found = build(**values, align_weight=2.0)(candidates, one, DURATION_S)
    torch.testing.assert_close(found, 2 * expected)


def test_an_alignment_needs_embeddings(candidates: Candidates, targets: Targets) -> None:
    with pytest.raises(ValueError, match="align_weight > 0 needs embeddings, which this model does not give; set its align_dim"):
        HungarianSetParams(name="hungarian_set", align_weight=0.1).build(NO_DIMS)
    with pytest.raises(ValueError, match="needs vectors of candidates and sentence; set align_dim of the model"):
        build(align_weight=0.1)(candidates._replace(features=None), targets, DURATION_S)


def test_gradients_are_finite_and_a_diverged_network_gives_a_loss_that_says_so(candidates: Candidates, targets: Targets) -> None:
    spans, scores = candidates.spans.clone().requires_grad_(), candidates.scores.clone().requires_grad_()
    build()(candidates._replace(spans=spans, scores=scores), targets, DURATION_S).backward()
    for tensor in (spans, scores):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()
        assert tensor.grad.abs().sum() > 0
    broken = candidates._replace(spans=candidates.spans * math.nan)
    assert build()(broken, targets, DURATION_S).isnan()


def test_generalised_iou_of_spans_apart_is_minus_the_gap_over_the_hull() -> None:
    spans, others = torch.tensor([[0.0, 2.0]]), torch.tensor([[5.0, 10.0], [2.0, 4.0], [1.0, 3.0], [0.0, 2.0], [0.5, 1.0]])
    expected = [-3 / 10, 0.0, 1 / 3, 1.0, 0.25]
    assert compute_generalized_iou(spans, others)[0].tolist() == pytest.approx(expected)
    torch.testing.assert_close(compute_generalized_iou(others, spans), compute_generalized_iou(spans, others).T)


def test_centre_and_width_turn_back_into_start_and_end() -> None:
    spans = torch.rand(4, 6, 2).sort(-1).values
    centre, width = to_centre_width(spans).unbind(-1)
    torch.testing.assert_close(torch.stack([centre - width / 2, centre + width / 2], dim=-1), spans)
