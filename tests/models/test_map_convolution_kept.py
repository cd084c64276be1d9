"""Cached transformed weights: fast, never stale, and not part of the state."""

import copy
import pickle

import pytest
import torch
from torch import Tensor

from map_stacks import SHAPES, build_stack, draw, force
from models.localizers.tan2d.map_convolution import stack as stack_module
from models.localizers.tan2d.map_convolution.stack import MapConvolution


@pytest.fixture(params=[torch.float32, torch.float64])
def kept(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> MapConvolution:
    """Return a stack of tiles with cached transformed weights, packed in float32."""
    monkeypatch.setattr(stack_module, "choose_methods", lambda geometry, _: force(geometry, 1))
    stack = build_stack(SHAPES[1], dtype=request.param)
    stack.keep_transforms()
    return stack


@torch.no_grad()
def run(stack: MapConvolution) -> Tensor:
    return stack(*draw_like(stack), SHAPES[1][0])


def draw_like(stack: MapConvolution) -> tuple[Tensor, Tensor]:
    """Return features and validity in the dtype of the stack."""
    return draw(stack, SHAPES[1][0], dtype=stack.convs[0].weight.dtype)


def test_kept_weights_notice_every_change_of_the_weights(kept: MapConvolution) -> None:
    first = run(kept)
    assert torch.equal(run(kept), first)
    with torch.no_grad():
        kept.convs[2].weight[0, 0, 0, 0] += 1.0
    changed = run(kept)
    assert not torch.equal(changed, first)
    kept.convs[0].weight = torch.nn.Parameter(kept.convs[0].weight.detach() * 0.5)
    replaced = run(kept)
    kept.load_state_dict({name: tensor * 2 for name, tensor in kept.state_dict().items()})
    loaded = run(kept)
    kept.keep_transforms(False)
    assert (run(kept) - loaded).abs().max() <= 1e-5 * loaded.abs().max()
    assert not torch.equal(replaced, changed)
    assert not torch.equal(replaced, loaded)


def test_kept_weights_are_not_state_and_are_not_copied(kept: MapConvolution) -> None:
    names = set(kept.state_dict())
    before = len(pickle.dumps(kept))
    first = run(kept)
    assert set(kept.state_dict()) == names
    assert len(pickle.dumps(kept)) == before
    for other in (copy.deepcopy(kept), pickle.loads(pickle.dumps(kept))):
        assert torch.equal(run(other), first)
        with torch.no_grad():
            other.convs[0].bias.add_(1.0)
        assert torch.equal(run(kept), first)


def test_kept_weights_of_a_step_of_training_are_not_used(kept: MapConvolution) -> None:
    run(kept)
    features, valid = draw_like(kept)
    kept(features, valid, SHAPES[1][0]).sum().backward()
    assert kept.convs[0].weight.grad is not None
    with torch.inference_mode():
        other = build_stack(SHAPES[1])
        other.keep_transforms()
        found = run(other)
        other.convs[0].weight.mul_(2)
        assert not torch.equal(run(other), found)
