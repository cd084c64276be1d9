"""Contract of every registered loss in a training step of 2D-TAN, or of the localizer that the loss needs."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from streams import video_dims
from torch import Tensor

from models.contracts.batches import LossDims, TextFeatures
from models.localizers.fcos import FCOSParams
from models.localizers.moment_detr import MomentDETRParams
from models.localizers.place_tan import PlaceTANParams
from models.localizers.tan2d import Tan2DParams
from models.losses import LossParams
from models.losses.base import LearnedTermParams, TermParams, WeightedLosses
from models.losses.scaled_iou_bce import ScaledIoUBCEParams
from models.training.data import LocalizerData, QueryTable
from models.training.localizer import LocalizerModule
from models.training.schema import TrainingParams

DOCS = Path(__file__).resolve().parents[3] / "docs/losses.md"
NUM_PLACES, DIM = 2, 6
DIMS = video_dims(dim=DIM, num_places=NUM_PLACES, text_dim=6)
TRAINING = TrainingParams.model_validate(
    {"max_epochs": 1, "batch_size": 8, "optimizer": {"name": "adamw", "learning_rate": 0.01}}
)
SENTENCES = ("a box spins", "a star leaves", "a box spins", "the star comes in", "a cross spins", "two stars leave")
MEMBERS: list[type[Any]] = list(get_args(get_args(LossParams)[0]))
HOSTS: dict[str, Any] = {  # localizers for losses on outputs that 2D-TAN lacks
    "inside_bce": PlaceTANParams(name="place_tan", num_cells=8),  # saliency
    "saliency_hinge": MomentDETRParams(name="moment_detr"),  # saliency
    "hungarian_set": MomentDETRParams(name="moment_detr"),  # a set of regressed spans
    "fcos_foreground": FCOSParams(name="fcos"),  # points
    "fcos_centreness": FCOSParams(name="fcos"),
    "fcos_regression": FCOSParams(name="fcos"),
}


def name_of(member: type[Any]) -> str:
    return str(get_args(member.model_fields["name"].annotation)[0])


EVERY = pytest.mark.parametrize("member", MEMBERS, ids=name_of)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Compute on one thread, because synchronisation costs more than these small models."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@cache
def make_data(num_cells: int) -> LocalizerData:
    """Return six queries in three videos; the first two show one sentence."""
    generator = torch.Generator().manual_seed(5)
    tokens = torch.randn(6, 4, DIMS.text_dim, generator=generator)
    text_index = torch.tensor([list(dict.fromkeys(SENTENCES)).index(sentence) for sentence in SENTENCES])
    starts = torch.tensor([0.0, 5.0, 2.0, 6.0, 1.0, 4.0])
    queries = QueryTable(
        text=TextFeatures(tokens, torch.ones(6, 4, dtype=torch.bool), tokens.mean(1)),
        video_index=torch.tensor([0, 0, 1, 1, 2, 2]),
        text_index=text_index,
        spans=torch.stack([starts, starts + 3.0], dim=1)[:, None],
        mask=torch.ones(6, 1, dtype=torch.bool),
        sentences=SENTENCES,
    )
    cells = torch.randn(3, num_cells, NUM_PLACES, DIM, generator=generator).half()
    return LocalizerData(queries, num_cells, {"video": cells}, torch.full((3,), 10.0))


def build_module(terms: list[TermParams], component: Any) -> LocalizerModule:
    torch.manual_seed(0)
    model = component.build(DIMS)
    data = make_data(component.num_cells)
    num_labels = {name: int(part.max()) + 1 for name, part in data.queries.labels._asdict().items()}
    losses = WeightedLosses(terms, LossDims(model.embedding_dim, num_labels))
    return LocalizerModule(model.train(), losses, TRAINING, train=data, validation=None, seed=1)


def run_step(module: LocalizerModule) -> Tensor:
    """Return the loss of one batch of all queries, and compute its gradients."""
    module.on_train_epoch_start()
    (batch,) = module.train_dataloader()
    loss = module.training_step(batch, 0)
    loss.backward()
    return loss.detach()


def list_gradients(module: LocalizerModule) -> dict[str, Tensor]:
    return {name: weight.grad for name, weight in module.named_parameters() if weight.grad is not None}


SMALL = Tan2DParams(name="tan2d", num_cells=8, hidden_dim=8, num_layers=1, kernel_size=3)


@pytest.fixture(scope="module")
def without() -> tuple[Tensor, dict[str, Tensor]]:
    """Return loss and gradients of a step of 2D-TAN with only its own loss."""
    module = build_module([ScaledIoUBCEParams(name="scaled_iou_bce")], SMALL)
    return run_step(module), list_gradients(module)


@EVERY
def test_weight_0_gives_the_bits_of_a_step_without_the_loss(member: type[Any], without: tuple[Tensor, dict[str, Tensor]]) -> None:
    module = build_module([ScaledIoUBCEParams(name="scaled_iou_bce"), member(name=name_of(member), weight=0.0)], SMALL)
    total, gradients = run_step(module), list_gradients(module)
    assert torch.equal(total, without[0])
    assert gradients.keys() == without[1].keys()
    assert all(torch.equal(gradient, without[1][name]) for name, gradient in gradients.items())


@EVERY
def test_every_loss_takes_a_step_with_finite_gradients(member: type[Any]) -> None:
    name = name_of(member)
    module = build_module([member(name=name)], HOSTS.get(name, SMALL))
    assert run_step(module).isfinite()
    gradients = list_gradients(module)
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert any(gradient.any() for gradient in gradients.values())
    chosen = module.configure_optimizers()
    chosen["optimizer"].step()
    assert all(weight.isfinite().all() for weight in module.parameters())


@pytest.mark.parametrize("member", [one for one in MEMBERS if issubclass(one, LearnedTermParams)], ids=name_of)
def test_parameters_of_a_loss_have_their_own_rate_and_move(member: type[Any]) -> None:
    module = build_module([member(name=name_of(member), learning_rate=0.25)], SMALL)
    ((learned, rate),) = module.losses.list_learned()
    before = [weight.detach().clone() for weight in learned]
    run_step(module)
    chosen = module.configure_optimizers()
    rates = [group.get("initial_lr", group["lr"]) for group in chosen["optimizer"].param_groups]
    chosen["optimizer"].step()
    assert rate == 0.25
    assert rate in rates
    assert all(not torch.equal(old, new) for old, new in zip(before, learned, strict=True))


def test_only_losses_with_a_rate_of_their_own_have_parameters() -> None:
    fixed = [member for member in MEMBERS if not issubclass(member, LearnedTermParams)]
    learned = [name_of(member) for member in fixed if list(member(name=name_of(member)).build(LossDims(4, {})).parameters())]
    assert learned == []


def test_the_registry_lists_losses_by_name() -> None:
    names = [name_of(member) for member in MEMBERS]
    assert names == sorted(names)
    assert len(set(names)) == len(names)


def test_the_page_of_losses_has_one_row_for_every_loss() -> None:
    rows = [line.split("|")[1].strip() for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(f"`{name_of(member)}`" for member in MEMBERS)
