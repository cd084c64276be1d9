"""Precision checks on the device; errors name the device, the precision and the setting to use."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from models.training import precision as module
from models.training.precision import find_obstacle, require_device

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Clear the cached checks, so that results on a patched torch do not persist."""
    find_obstacle.cache_clear()
    yield
    find_obstacle.cache_clear()


@pytest.fixture
def old_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a GPU with float16 but without bf16."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla T4")
    monkeypatch.setattr(module, "_try_layers", lambda dtype, _: None if dtype == torch.float16 else "tried in vain")


def fail(*_: Any) -> Any:
    raise RuntimeError("could not create a primitive. Run with logging")


@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
def test_every_device_trains_in_single_precision(device: str) -> None:
    assert find_obstacle(32, torch.device(device)) is None


def test_a_layer_that_fails_is_named_and_single_precision_is_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn.LSTM, "forward", fail)
    message = (
        r"^cpu \(instructions up to \w+\) cannot train with training.precision = bf16-mixed: "
        r"LSTM fails \(could not create a primitive\); set training.precision to 32$"
    )
    with pytest.raises(ValueError, match=message):
        require_device("bf16-mixed", CPU)


def test_a_device_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn.Linear, "forward", fail)
    first = find_obstacle("bf16-mixed", CPU)
    monkeypatch.undo()
    assert find_obstacle("bf16-mixed", CPU) == first == "Linear fails (could not create a primitive)"


def test_trying_leaves_the_random_state_as_it_is() -> None:
    before = torch.get_rng_state()
    find_obstacle("bf16-mixed", CPU)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_old_gpu_is_told_of_float16(old_gpu: None) -> None:
    message = r"^cuda:0 \(Tesla T4\) cannot train with .* = bf16-mixed: .*; set training.precision to 32 or 16-mixed$"
    with pytest.raises(ValueError, match=message):
        require_device("bf16-mixed", GPU)
    require_device("16-mixed", GPU)
