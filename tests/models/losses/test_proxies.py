"""ProxyNCA, ProxyNCA++, Proxy-Anchor and SoftTriple."""

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from models.contracts.batches import LossDims
from models.losses.labelled import LabelledRows
from models.losses.proxy_anchor import ProxyAnchorParams
from models.losses.proxy_nca import ProxyNCAParams
from models.losses.proxy_nca_pp import ProxyNCAPPParams, pool_rows
from models.losses.soft_triple import SoftTripleParams

CLASSES = [0, 1, 2, 3, 0, 1, 1, 3]
ALL = [
    ProxyNCAParams(name="proxy_nca"),
    ProxyNCAParams(name="proxy_nca", denominator="all"),
    ProxyNCAPPParams(name="proxy_nca_pp"),
    ProxyAnchorParams(name="proxy_anchor"),
    SoftTripleParams(name="soft_triple"),
    SoftTripleParams(name="soft_triple", centers_per_class=1),
]
EVERY = pytest.mark.parametrize("params", ALL, ids=lambda params: params.name)


def build(params: Any, dims: LossDims, proxies: Tensor | None = None) -> Any:
    torch.manual_seed(1)
    loss = params.build(dims)
    if proxies is not None:
        loss.library.proxies.data = proxies
    return loss


@EVERY
def test_vectors_and_proxies_get_finite_gradients(params: Any, dims: LossDims, vectors: Tensor, make_rows: Any) -> None:
    loss = build(params, dims)
    vectors.requires_grad_(True)
    loss.compute(make_rows(vectors, CLASSES)).backward()
    learned = list(loss.parameters())
    assert len(learned) == 1
    for tensor in (vectors, *learned):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()
        assert tensor.grad.abs().sum() > 0


@EVERY
def test_length_and_order_of_vectors_change_nothing(params: Any, dims: LossDims, vectors: Tensor, make_rows: Any) -> None:
    loss = build(params, dims)
    order = torch.randperm(8)
    other = make_rows((3 * vectors)[order], [CLASSES[index] for index in order])
    assert loss.compute(other).item() == pytest.approx(loss.compute(make_rows(vectors, CLASSES)).item(), rel=1e-4)


@EVERY
def test_a_corpus_of_one_class_and_a_batch_of_one_row_have_finite_losses(params: Any, vectors: Tensor, make_rows: Any) -> None:
    loss = build(params, LossDims(6, {"verb": 1}))
    vectors.requires_grad_(True)
    value = loss.compute(make_rows(vectors[:1], [0]))
    value.backward()
    assert value.isfinite()
    assert vectors.grad is not None
    assert vectors.grad.isfinite().all()


@EVERY
def test_the_rate_of_proxies_is_a_value(params: Any) -> None:
    assert params.model_copy(update={"learning_rate": 0.5}).learning_rate == 0.5
    assert params.learning_rate == 0.01


def slow_proxy_nca(vectors: Tensor, classes: list[int], proxies: Tensor, scale: float, *, with_own: bool) -> float:
    total = 0.0
    for vector, label in zip(F.normalize(vectors), classes, strict=True):
        distances = [(scale * (vector - proxy)).square().sum().item() for proxy in F.normalize(proxies)]
        others = [math.exp(-distance) for index, distance in enumerate(distances) if with_own or index != label]
        total -= math.log(math.exp(-distances[label]) / sum(others))
    return total / len(classes)


@pytest.mark.parametrize(("denominator", "with_own"), [("others", False), ("all", True)])
def test_proxy_nca_agrees_with_a_slow_loop(
    denominator: Any, with_own: bool, dims: LossDims, vectors: Tensor, make_rows: Any
) -> None:
    loss = build(ProxyNCAParams(name="proxy_nca", denominator=denominator, scale=1.7), dims)
    expected = slow_proxy_nca(vectors, CLASSES, loss.library.proxies.detach(), 1.7, with_own=with_own)
    assert loss.compute(make_rows(vectors, CLASSES)).item() == pytest.approx(expected, rel=1e-5)


def test_the_two_forms_of_proxy_nca_differ_by_the_log_of_the_share_of_others(dims: LossDims, vectors: Tensor) -> None:
    rows = LabelledRows(vectors[:1], torch.tensor([2]), torch.tensor([0]), torch.tensor([0]))
    classic = build(ProxyNCAParams(name="proxy_nca", denominator="others", scale=0.5), dims)
    softmax = build(ProxyNCAParams(name="proxy_nca", denominator="all", scale=0.5), dims)
    left = 1 - math.exp(-softmax.compute(rows).item())
    assert (classic.compute(rows) - softmax.compute(rows)).item() == pytest.approx(math.log(left), rel=1e-3)


def test_proxy_nca_pp_is_cross_entropy_of_cosines_at_twice_the_inverse_temperature(
    dims: LossDims, vectors: Tensor, make_rows: Any
) -> None:
    loss = build(ProxyNCAPPParams(name="proxy_nca_pp"), dims)
    cosines = F.normalize(vectors) @ F.normalize(loss.library.proxies.detach()).T
    expected = F.cross_entropy(18 * cosines, torch.tensor(CLASSES))
    assert loss.compute(make_rows(vectors, CLASSES)).item() == pytest.approx(expected.item(), rel=1e-4)


def test_proxy_nca_pp_equals_proxy_nca_over_all_classes_at_scale_3(dims: LossDims, vectors: Tensor, make_rows: Any) -> None:
    first = build(ProxyNCAPPParams(name="proxy_nca_pp"), dims)
    second = build(ProxyNCAParams(name="proxy_nca", denominator="all", scale=3.0), dims)
    rows = make_rows(vectors, CLASSES)
    assert first.compute(rows).item() == pytest.approx(second.compute(rows).item(), rel=1e-6)


def test_a_low_temperature_asks_only_that_the_nearest_proxy_is_right(make_rows: Any) -> None:
    loss = build(ProxyNCAPPParams(name="proxy_nca_pp", temperature=0.001), LossDims(2, {"verb": 2}), torch.eye(2))
    assert loss.compute(make_rows(torch.tensor([[1.0, 0.9], [0.8, 1.0]]), [0, 1])).item() == pytest.approx(0.0, abs=1e-6)


def test_global_maximum_pooling_leaves_one_vector_a_row_of_the_batch() -> None:
    vectors = torch.tensor([[1.0, -5.0], [0.0, 2.0], [-1.0, -3.0], [4.0, 0.0]])
    rows = LabelledRows(vectors, torch.tensor([7, 7, 3, 3]), torch.tensor([1, 1, 0, 0]), torch.tensor([0, 0, 5, 5]))
    pooled = pool_rows(rows)
    assert pooled.vectors.tolist() == [[1.0, 2.0], [4.0, 0.0]]
    assert pooled.classes.tolist() == [7, 3]
    assert pooled.batch_rows.tolist() == [0, 5]


def test_pooling_needs_candidates() -> None:
    with pytest.raises(ValidationError, match="pool: max needs on: candidates, got on=pairs"):
        ProxyNCAPPParams(name="proxy_nca_pp", pool="max")


def slow_proxy_anchor(vectors: Tensor, classes: list[int], proxies: Tensor, margin: float, alpha: float) -> float:
    cosines = (F.normalize(vectors) @ F.normalize(proxies).T).tolist()
    near, far = 0.0, 0.0
    for proxy in range(len(proxies)):
        own = [cosines[row][proxy] for row, label in enumerate(classes) if label == proxy]
        others = [cosines[row][proxy] for row, label in enumerate(classes) if label != proxy]
        near += math.log(1 + sum(math.exp(-alpha * (cosine - margin)) for cosine in own))
        far += math.log(1 + sum(math.exp(alpha * (cosine + margin)) for cosine in others))
    return near / len(set(classes)) + far / len(proxies)


def test_proxy_anchor_agrees_with_a_slow_loop_also_where_a_class_is_absent(
    dims: LossDims, vectors: Tensor, make_rows: Any
) -> None:
    loss = build(ProxyAnchorParams(name="proxy_anchor", margin=0.2, alpha=4.0), dims)
    for classes in (CLASSES, [0, 1, 0, 1, 1, 1, 3, 3]):
        expected = slow_proxy_anchor(vectors, classes, loss.library.proxies.detach(), 0.2, 4.0)
        assert loss.compute(make_rows(vectors, classes)).item() == pytest.approx(expected, rel=1e-5)


def test_a_sharp_proxy_anchor_is_a_hinge_on_the_hardest_vector(make_rows: Any) -> None:
    loss = build(ProxyAnchorParams(name="proxy_anchor", alpha=2000.0), LossDims(2, {"verb": 1}), torch.tensor([[1.0, 0.0]]))
    vectors = torch.tensor([[1.0, 1.0], [1.0, 2.0]])
    hardest = 1 / math.sqrt(5)
    assert loss.compute(make_rows(vectors, [0, 0])).item() / 2000 == pytest.approx(max(0.0, 0.1 - hardest), abs=1e-3)
    opposite = -vectors
    assert loss.compute(make_rows(opposite, [0, 0])).item() / 2000 == pytest.approx(0.1 + 1 / math.sqrt(2), abs=1e-3)


def test_the_pull_of_a_proxy_anchor_is_shared_out_by_hardness_and_at_most_alpha(
    dims: LossDims, vectors: Tensor, make_rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = build(ProxyAnchorParams(name="proxy_anchor", alpha=8.0), dims)
    cosines = torch.linspace(-0.9, 0.9, 8)[:, None].repeat(1, 4).requires_grad_(True)
    monkeypatch.setattr(loss.library, "get_logits", lambda _: cosines)
    loss.compute(make_rows(vectors, [0] * 8)).backward()  # every vector belongs to proxy 0, which repels none
    assert cosines.grad is not None
    pull = -cosines.grad[:, 0]
    exponents = torch.exp(-8.0 * (cosines.detach()[:, 0] - 0.1))
    torch.testing.assert_close(pull, 8.0 * exponents / (1 + exponents.sum()))
    assert 0 < pull.sum() <= 8


def slow_soft_triple(vectors: Tensor, classes: list[int], centers: Tensor, params: SoftTripleParams) -> float:
    units = F.normalize(centers, dim=-1)  # (C, K, E)
    total = 0.0
    for vector, label in zip(F.normalize(vectors), classes, strict=True):
        similarities = units @ vector  # (C, K)
        scores = (F.softmax(similarities / params.gamma, dim=1) * similarities).sum(1)
        scores[label] -= params.margin
        total += F.cross_entropy(params.scale * scores[None], torch.tensor([label])).item()
    count, num_centers = units.shape[:2]
    spread = sum((own[s] - own[t]).norm().item() for own in units for s in range(num_centers) for t in range(s + 1, num_centers))
    return total / len(classes) + params.center_weight * spread / (count * num_centers * (num_centers - 1))


def test_soft_triple_agrees_with_a_slow_loop(dims: LossDims, vectors: Tensor, make_rows: Any) -> None:
    params = SoftTripleParams(name="soft_triple", centers_per_class=3, margin=0.1)
    loss = build(params, dims)
    centers = loss.library.fc.detach().T.reshape(4, 3, 6)
    expected = slow_soft_triple(vectors, CLASSES, centers, params)
    assert loss.compute(make_rows(vectors, CLASSES)).item() == pytest.approx(expected, rel=1e-4)


def test_one_centre_a_class_without_margin_is_a_scaled_softmax(dims: LossDims, vectors: Tensor, make_rows: Any) -> None:
    loss = build(SoftTripleParams(name="soft_triple", centers_per_class=1, margin=0.0), dims)
    cosines = F.normalize(vectors) @ F.normalize(loss.library.fc.detach().T).T
    expected = F.cross_entropy(20 * cosines, torch.tensor(CLASSES))
    assert loss.compute(make_rows(vectors, CLASSES)).item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_small_gamma_takes_the_nearest_centre_of_each_class(dims: LossDims, vectors: Tensor, make_rows: Any) -> None:
    loss = build(SoftTripleParams(name="soft_triple", gamma=1e-4, margin=0.0, center_weight=0.0), dims)
    similarities = F.normalize(vectors) @ F.normalize(loss.library.fc.detach().T).T
    expected = F.cross_entropy(20 * similarities.reshape(8, 4, 10).amax(2), torch.tensor(CLASSES))
    assert loss.compute(make_rows(vectors, CLASSES)).item() == pytest.approx(expected.item(), rel=1e-4)


def test_equal_centres_have_no_spread_and_finite_gradients(dims: LossDims, vectors: Tensor, make_rows: Any) -> None:
    losses = [build(SoftTripleParams(name="soft_triple", centers_per_class=3, center_weight=w), dims) for w in (0.0, 5.0)]
    values = []
    for loss in losses:
        centers = torch.randn(6, 4, generator=torch.Generator().manual_seed(2)).repeat_interleave(3, dim=1)
        loss.library.fc = nn.Parameter(centers)
        value = loss.compute(make_rows(vectors, CLASSES))
        value.backward()
        assert loss.library.fc.grad.isfinite().all()
        values.append(value.item())
    assert values[0] == values[1]
