"""Published 2D-TAN checkpoints: the authors' scores from the authors' parameters, inputs and shapes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from benchmarks.tan2d_reference import ReferenceTan2D
from torch import Tensor

from models.layers.candidate_map import list_candidates
from models.localizers.tan2d import Tan2D
from models.localizers.tan2d import official as tan2d_official
from models.localizers.tan2d.network import build_official
from models.localizers.tan2d.official import OFFICIAL

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = tuple(OFFICIAL)
SMALL = {"hidden_dim": 6, "lstm_layers": 3}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Use one thread, because synchronisation costs more than computation on shapes this small."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduce the channels of the published configurations, and keep everything else."""
    narrowed = {name: (10, {**values, **SMALL}) for name, (_, values) in OFFICIAL.items()}
    monkeypatch.setattr(tan2d_official, "OFFICIAL", narrowed)


def build_reference(config: str, dtype: torch.dtype, **changes: Any) -> ReferenceTan2D:
    """Return the authors' network with random weights large enough that differences between cells survive all layers."""
    torch.manual_seed(0)
    feature_dim, values = tan2d_official.OFFICIAL[config]
    names = ("clips_per_cell", "scale_layers", "proposals", "kernel_size", "num_layers", "hidden_dim")
    reference = ReferenceTan2D(feature_dim, **{name: values[name] for name in names}, **changes).to(dtype)
    with torch.no_grad():
        for layer in reference.map_layer.convs:
            layer.weight.mul_(2 * values["kernel_size"] ** 2)
            layer.bias.mul_(0.1)
        reference.pred_layer.bias.zero_()
    return reference


def draw_inputs(dtype: torch.dtype, *, lengths: list[int], num_clips: int = 256, dim: int = 10) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    mask = (torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None])[..., None].to(dtype)  # (B, L, 1)
    words = torch.randn(len(lengths), max(lengths), 300, generator=generator, dtype=dtype) * mask
    clips = torch.rand(len(lengths), num_clips, dim, generator=generator, dtype=dtype)
    return words, mask, clips


def measure_error(found: Tensor, expected: Tensor, mask: Tensor) -> float:
    valid = mask.bool()
    return ((found - expected)[valid].abs().max() / expected[valid].abs().max()).item()


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("config", [*CONFIGS[:4], *(pytest.param(name, marks=pytest.mark.slow) for name in CONFIGS[4:])])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_scores_are_those_of_the_authors_formulation(config: str, dtype: torch.dtype, tolerance: float) -> None:
    reference = build_reference(config, dtype)
    inputs = draw_inputs(dtype, lengths=[7, 1, 4])
    with torch.no_grad():
        expected, mask = reference(*inputs)
        found = Tan2D.from_official(reference.state_dict(), config=config).official_scores(*inputs)
    assert found.shape == expected.shape
    assert found.dtype == dtype
    assert expected[mask.bool()].std() > 1e-3 * expected.abs().max(), "the reference must tell cells apart"
    assert measure_error(found, expected, mask) <= tolerance
    assert (found[~mask.bool()] == 0).all()


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("num_clips", [16, 100, 250, 255, 300, 512])
def test_scores_of_longer_and_shorter_videos_are_the_authors_too(num_clips: int) -> None:
    reference = build_reference("charades_pool", torch.float64)
    inputs = draw_inputs(torch.float64, lengths=[3, 5], num_clips=num_clips)
    expected, mask = reference(*inputs)
    found = Tan2D.from_official(reference.state_dict(), config="charades_pool").official_scores(*inputs)
    assert measure_error(found, expected, mask) <= 1e-9


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(("config", "num_clips"), [("charades_pool", 15), ("charades_conv", 250), ("activitynet_pool", 252)])
def test_a_map_that_the_layers_do_not_fit_is_refused(config: str, num_clips: int) -> None:
    model = build_official(config)
    with pytest.raises(ValueError, match="scale_layers="):
        model.official_scores(*draw_inputs(torch.float32, lengths=[3], num_clips=num_clips))


@pytest.mark.usefixtures("narrow")
def test_a_sentence_without_words_or_with_gaps_is_read_as_the_authors_do() -> None:
    reference = build_reference("charades_pool", torch.float64)
    words, mask, clips = draw_inputs(torch.float64, lengths=[5, 5, 5])
    mask[0], mask[1, 1] = 0, 0
    expected, valid = reference(words, mask, clips)
    found = Tan2D.from_official(reference.state_dict(), config="charades_pool").official_scores(words, mask, clips)
    assert measure_error(found, expected, valid) <= 1e-9


@pytest.mark.slow
@pytest.mark.usefixtures("narrow")
def test_training_mode_gives_the_authors_gradients() -> None:
    reference = build_reference("activitynet_conv", torch.float64)
    model = Tan2D.from_official(reference.state_dict(), config="activitynet_conv").train()
    inputs = draw_inputs(torch.float64, lengths=[4, 2])
    expected, mask = reference(*inputs)
    weights = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) * mask
    (expected * weights).sum().backward()
    (model.official_scores(*inputs) * weights).sum().backward()
    theirs = dict(reference.named_parameters())
    for name, parameter in model.named_parameters():
        gradient = theirs[tan2d_official.translate(name, parameter)[0]].grad
        assert parameter.grad is not None, name
        assert gradient is not None, name
        difference = (parameter.grad.flatten() - gradient.flatten()).abs().max()
        assert difference <= 1e-9 * gradient.abs().max(), name


@pytest.mark.usefixtures("narrow")
def test_names_with_the_prefix_of_data_parallel_training_load() -> None:
    state = build_reference("tacos_pool", torch.float32).state_dict()
    model = Tan2D.from_official({f"module.{name}": tensor for name, tensor in state.items()}, config="tacos_pool")
    assert torch.equal(model.map_conv.convs[3].weight, state["map_layer.convs.3.weight"])
    assert not model.training


@pytest.mark.usefixtures("narrow")
def test_weights_that_are_loaded_are_copies_and_loading_draws_no_random_number() -> None:
    state = build_reference("charades_pool", torch.float32).state_dict()
    before = torch.get_rng_state()
    model = Tan2D.from_official(state, config="charades_pool")
    assert torch.equal(torch.get_rng_state(), before)
    state["pred_layer.bias"].fill_(7.0)
    assert model.predict.bias.item() != 7.0


@pytest.mark.usefixtures("narrow")
def test_defects_of_a_checkpoint_are_named() -> None:
    state = build_reference("charades_conv", torch.float32).state_dict()
    state["extra"] = torch.zeros(1)
    del state["pred_layer.bias"]
    state["fusion_layer.tex_linear.weight"] = torch.zeros(3, 3)
    with pytest.raises(ValueError, match="charades_conv") as caught:
        Tan2D.from_official(state, config="charades_conv")
    message = str(caught.value)
    assert "missing: pred_layer.bias" in message
    assert "unknown: extra" in message
    assert "fusion_layer.tex_linear.weight has shape (3, 3), not (6, 6)" in message
    with pytest.raises(ValueError, match=r"unknown: prop_layer\.layers\.0\.0\.bias"):
        Tan2D.from_official(build_reference("charades_conv", torch.float32).state_dict(), config="charades_pool")
    with pytest.raises(ValueError, match="'didemo'; known: charades_pool, charades_conv, activitynet_pool"):
        Tan2D.from_official({}, config="didemo")


@pytest.mark.usefixtures("narrow")
def test_an_invalid_state_dict_and_a_mask_that_does_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="not tensors: epoch; pass the state dict of the model"):
        Tan2D.from_official({"epoch": 3}, config="charades_pool")
    words, mask, clips = draw_inputs(torch.float32, lengths=[3])
    with pytest.raises(ValueError, match=r"needs a mask \(B, L, 1\) of words \(B, L, D\), got \(1, 3\) and \(1, 3, 300\)"):
        build_official("charades_pool").official_scores(words, mask[..., 0], clips)


@pytest.mark.usefixtures("narrow")
def test_a_checkpoint_of_mixed_or_whole_numbers_or_of_double_names_is_refused() -> None:
    state = build_reference("charades_pool", torch.float32).state_dict()
    with pytest.raises(ValueError, match=r"one floating dtype, got torch\.float32, torch\.float64"):
        Tan2D.from_official(state | {"pred_layer.bias": torch.zeros(1, dtype=torch.float64)}, config="charades_pool")
    with pytest.raises(ValueError, match=r"one floating dtype, got torch\.int64"):
        Tan2D.from_official({name: tensor.long() for name, tensor in state.items()}, config="charades_pool")
    with pytest.raises(ValueError, match="names a parameter twice"):
        Tan2D.from_official(state | {"module.pred_layer.bias": torch.zeros(1)}, config="charades_pool")


@pytest.mark.parametrize(("config", "millions"), list(zip(CONFIGS, (60.9, 69.1, 91.6, 108.6, 60.9, 82.4), strict=True)))
def test_published_models_have_the_published_number_of_weights(config: str, millions: float) -> None:
    with torch.device("meta"):
        feature_dim, values = OFFICIAL[config]
        names = ("clips_per_cell", "scale_layers", "proposals", "kernel_size", "num_layers")
        reference = ReferenceTan2D(feature_dim, **{name: values[name] for name in names})
    assert sum(parameter.numel() for parameter in reference.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)


@pytest.mark.parametrize(("config", "count"), list(zip(CONFIGS, (136, 136, 1104, 1104, 2548, 2548), strict=True)))
def test_published_maps_have_the_published_number_of_candidates(config: str, count: int) -> None:
    values = OFFICIAL[config][1]
    cells, _ = list_candidates(values["num_cells"] // values["clips_per_cell"], values["scale_layers"])
    assert len(cells) == count


def test_the_sparse_offsets_are_those_of_the_published_rule() -> None:
    cells, _ = list_candidates(128, (16, 8, 8, 8))
    starts = {offset: set(first.tolist()) for offset in range(128) if len(first := cells[cells[:, 1] - cells[:, 0] == offset, 0])}
    expected = {offset: 1 for offset in range(16)}
    expected |= {offset: 2 for offset in range(17, 32, 2)}
    expected |= {offset: 4 for offset in range(35, 64, 4)}
    expected |= {offset: 8 for offset in range(71, 128, 8)}
    assert starts == {offset: set(range(0, 128 - offset, stride)) for offset, stride in expected.items()}


@pytest.mark.parametrize("config", CONFIGS)
def test_the_preset_of_a_published_model_holds_the_published_values(config: str) -> None:
    preset = yaml.safe_load((ROOT / "presets" / "localizer" / f"tan2d_{config}.yaml").read_text(encoding="utf-8"))
    values = OFFICIAL[config][1]
    assert {name: preset[name] for name in values} == {**values, "scale_layers": list(values["scale_layers"])}
