"""Fast map convolutions: every method equals the authors' formulation in values and gradients."""

import warnings
from collections.abc import Iterator

import pytest
import torch
from benchmarks.tan2d_reference import ReferenceMapConvolution
from torch import Tensor

from map_stacks import PUBLISHED, SHAPES, build_stack, draw, force
from models.localizers.tan2d.map_convolution import stack as stack_module
from models.localizers.tan2d.map_convolution.choice import list_methods
from models.localizers.tan2d.map_convolution.geometry import build_geometry
from models.localizers.tan2d.map_convolution.offset_convolution import OffsetConvolution, list_pairs
from models.localizers.tan2d.map_convolution.stack import MapConvolution
from models.localizers.tan2d.map_convolution.tile_convolution import TileConvolution, TilePlan, get_matrices
from models.localizers.tan2d.map_convolution.tiles import lay_out
from models.localizers.tan2d.map_convolution.workspace import Workspace


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Use one thread, because synchronisation costs more than computation on shapes this small."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


def run_reference(stack: MapConvolution, features: Tensor, valid: Tensor, num_cells: int) -> Tensor:
    reference = ReferenceMapConvolution(features.shape[-1], kernel_size=stack.kernel_size, num_layers=len(stack.convs))
    reference.to(features.dtype).load_state_dict(stack.state_dict())
    cells = build_geometry(num_cells, stack.scale_layers, stack.kernel_size, len(stack.convs)).sets[0].cells
    canvas = features.new_zeros(len(features), features.shape[-1], num_cells, num_cells)
    mask = features.new_zeros(len(features), 1, num_cells, num_cells)
    canvas[:, :, cells[:, 0], cells[:, 1]] = features.transpose(1, 2)
    mask[:, 0, cells[:, 0], cells[:, 1]] = valid.to(features.dtype)
    return reference(canvas, mask)[:, :, cells[:, 0], cells[:, 1]].transpose(1, 2)


def measure_error(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).abs().max() / expected.abs().max()).item()


@pytest.fixture(params=["plain", "low_memory", *range(5)])
def method(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Select a method for a stack regardless of the estimate: plain, tap by tap, and each transform."""
    if isinstance(request.param, str):
        return request.param
    monkeypatch.setattr(stack_module, "choose_methods", lambda geometry, _: force(geometry, request.param))
    return "auto"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("shorter", [False, True])
def test_every_method_gives_the_authors_values_and_gradients(shape: tuple, method: str, shorter: bool) -> None:
    stack, num_cells = build_stack(shape), shape[0]
    stack.speed = method
    features, valid = draw(stack, num_cells, rows=3 if shorter else 1)
    features.requires_grad_()
    weights = torch.randn(features.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) * valid[..., None]
    expected = run_reference(stack, features, valid, num_cells)
    found = stack(features, valid, num_cells)
    assert measure_error(found * valid[..., None], expected * valid[..., None]) <= 1e-12
    (wanted,) = torch.autograd.grad((expected * weights).sum(), features)
    (gradient,) = torch.autograd.grad((found * weights).sum(), features)
    assert measure_error(gradient, wanted) <= 1e-11


@pytest.mark.parametrize("index", [*range(5), None])
@pytest.mark.slow
def test_every_layer_has_the_gradients_of_finite_differences(index: int | None) -> None:
    shape = (5, (5,), 3, 2)
    layer = build_stack(shape, channels=2).convs[0]
    geometry = build_geometry(*shape)
    size = len(geometry.sets[0].cells), len(geometry.sets[1].cells)
    features = torch.randn(size[0] + 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    features[-1] = 0
    norm = torch.rand(size[1] + 1, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    norm[-1] = 0

    def run(cells: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        cells = torch.cat([cells, torch.zeros_like(cells[:1])])
        if index is None:
            return OffsetConvolution.apply(cells, weight, bias, norm, list_pairs(*shape, layer=0))
        method = list_methods(3)[index]
        plan = TilePlan(
            lay_out(*shape, layer=0, tile_size=method.input_size - 2), get_matrices(method, 3, torch.float64), Workspace()
        )
        return TileConvolution.apply(cells, weight, bias, norm, plan)

    inputs = (features[:-1].requires_grad_(), layer.weight, layer.bias)
    assert torch.autograd.gradcheck(run, inputs, eps=1e-7, atol=1e-6)


@pytest.mark.parametrize("shape", PUBLISHED[:1])
@pytest.mark.parametrize("index", range(5))
def test_eight_layers_stay_within_1e_5_in_float32(shape: tuple, index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack_module, "choose_methods", lambda geometry, _: force(geometry, index))
    stack = build_stack(shape, channels=48, dtype=torch.float32)
    features, valid = draw(stack, shape[0], rows=1, dtype=torch.float32)
    with torch.no_grad():
        found = stack(features, valid, shape[0])
        exact = run_reference(stack.double(), features.double(), valid, shape[0])
    assert measure_error(found.double(), exact) <= 1e-5


def test_a_slow_loop_over_cells_gives_the_same_as_plain_convolutions() -> None:
    stack, size, kernel = build_stack((4, (4,), 3, 2), channels=2), 4, 3
    features, valid = draw(stack, size, rows=1)
    stack.speed = "plain"
    cells = build_geometry(4, (4,), 3, 2).sets[0].cells
    values, mask = torch.zeros(2, 8, 8, dtype=torch.float64), torch.zeros(8, 8)  # padded by 2 for both layers
    values[:, cells[:, 0] + 2, cells[:, 1] + 2] = features[0].T
    mask[cells[:, 0] + 2, cells[:, 1] + 2] = 1
    for layer in stack.convs:
        width = values.shape[-1] - kernel + 1
        outputs, grown = torch.zeros(2, width, width, dtype=torch.float64), torch.zeros(width, width)
        for row in range(width):
            for column in range(width):
                count = mask[row : row + kernel, column : column + kernel].sum()
                patch = values[:, row : row + kernel, column : column + kernel]
                if count > 0:
                    outputs[:, row, column] = ((layer.weight * patch).sum((1, 2, 3)) + layer.bias).relu() * (1 / count)
                    grown[row, column] = 1
        values, mask = outputs, grown
    torch.testing.assert_close(stack(features, valid, size)[0].T, values[:, cells[:, 0], cells[:, 1]])


def test_gradients_that_are_not_asked_for_are_not_computed(method: str) -> None:
    shape = SHAPES[1]
    stack = build_stack(shape)
    stack.speed = method
    features, valid = draw(stack, shape[0])
    full = torch.autograd.grad(stack(features.clone().requires_grad_(), valid, shape[0]).sum(), list(stack.parameters()))
    stack.requires_grad_(False)
    stack.convs[1].weight.requires_grad_()
    (alone,) = torch.autograd.grad(stack(features, valid, shape[0]).sum(), stack.convs[1].weight)
    torch.testing.assert_close(alone, full[2])
    stack.requires_grad_(False)
    (inputs,) = torch.autograd.grad(stack(probe := features.clone().requires_grad_(), valid, shape[0]).sum(), probe)
    assert inputs.isfinite().all()
    assert not stack(features, valid, shape[0]).requires_grad


def test_batches_of_none_one_and_many_agree_and_layouts_of_memory_do_not_matter(method: str) -> None:
    shape = SHAPES[1]
    stack = build_stack(shape)
    stack.speed = method
    features, valid = draw(stack, shape[0])
    together = stack(features, valid, shape[0])
    for row in range(3):
        alone = stack(features[row : row + 1], valid[row : row + 1], shape[0])
        torch.testing.assert_close(alone[0], together[row])
    strided = features.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    torch.testing.assert_close(stack(strided, valid, shape[0]), together)
    assert stack(features[:0], valid[:0], shape[0]).shape == (0, *features.shape[1:])


def test_two_threads_give_the_values_and_gradients_of_one(method: str) -> None:
    shape = SHAPES[1]
    stack = build_stack(shape)
    stack.speed = method
    features, valid = draw(stack, shape[0])
    features.requires_grad_()
    alone, together = [], []
    for num_threads, results in ((1, alone), (2, together)):
        torch.set_num_threads(num_threads)
        found = stack(features, valid, shape[0])
        results += [found, *torch.autograd.grad(found.sum(), [features, *stack.parameters()])]
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("speed", ["auto", "low_memory"])
def test_a_second_backward_is_refused(speed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack_module, "choose_methods", lambda geometry, _: force(geometry, 1))
    stack = build_stack(SHAPES[0])
    stack.speed = speed
    features, valid = draw(stack, SHAPES[0][0])
    loss = stack(features.requires_grad_(), valid, SHAPES[0][0]).square().sum()
    (gradient,) = torch.autograd.grad(loss, features, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_a_value_that_is_not_finite_stays_in_its_row_of_the_batch(method: str) -> None:
    stack = build_stack(SHAPES[1])
    stack.speed = method
    features, valid = draw(stack, SHAPES[1][0])
    clean = stack(features, valid, SHAPES[1][0])
    features[0, 5] = torch.nan
    found = stack(features, valid, SHAPES[1][0])
    assert found[0].isnan().any()
    torch.testing.assert_close(found[1:], clean[1:])


def test_autocast_computes_in_its_own_dtype() -> None:
    stack = build_stack(SHAPES[1], dtype=torch.float32)
    features, valid = draw(stack, SHAPES[1][0], dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = stack(features, valid, SHAPES[1][0])
        stack.speed = "plain"
        assert torch.equal(found, stack(features, valid, SHAPES[1][0]))


@pytest.mark.slow
def test_compiling_and_tracing_take_plain_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack_module, "choose_methods", lambda geometry, _: force(geometry, 1))
    stack = build_stack(SHAPES[1])
    features, valid = draw(stack, SHAPES[1][0])
    with torch.no_grad():
        expected = stack(features, valid, SHAPES[1][0])

    class Fixed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stack = stack

        def forward(self, features: Tensor) -> Tensor:
            return self.stack(features, valid, SHAPES[1][0])

    exported = torch.export.export(Fixed(), (features,), strict=False)
    assert any("conv2d" in str(node.target) for node in exported.graph.nodes)
    torch.testing.assert_close(exported.module()(features), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(Fixed(), (features,))
        compiled = torch.compile(Fixed(), backend="eager")
        torch.testing.assert_close(traced(features), expected)
        torch.testing.assert_close(compiled(features), expected)
