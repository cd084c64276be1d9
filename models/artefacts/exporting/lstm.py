"""Export of LSTM layers as one ONNX operator each, so that an exported network reads sentences of any length.

`torch.export` unrolls `nn.LSTM` over the length of its example. Letters: B rows, L steps, I inputs, H hidden width,
R directions (1 or 2).
"""

import copy

import torch
from torch import Tensor, nn


class OnnxLSTM(nn.Module):
    """Replacement of a batch-first `nn.LSTM` during export. It returns the states, but no final states."""

    def __init__(self, lstm: nn.LSTM) -> None:
        """Copy the weights in ONNX's order of gates.

        Raises:
            ValueError: when the layer has a feature that ONNX's operator lacks.
        """
        super().__init__()
        if not lstm.batch_first or lstm.proj_size or not lstm.bias:
            raise ValueError(f"only a batch-first LSTM with biases and without projection can be exported, got {lstm}")
        self.hidden_size = lstm.hidden_size
        self.direction = "bidirectional" if lstm.bidirectional else "forward"
        self.num_layers, self.num_directions = lstm.num_layers, 2 if lstm.bidirectional else 1
        for layer in range(lstm.num_layers):
            for name, tensor in _stack_weights(lstm, layer).items():
                self.register_buffer(f"{name}{layer}", tensor)

    def forward(self, inputs: Tensor) -> tuple[Tensor, None]:
        """Return the states of the last layer: (B, L, I) -> (B, L, R * H)."""
        steps = inputs.transpose(0, 1)  # (L, B, I)
        for layer in range(self.num_layers):
            weights = [self.get_buffer(f"{name}{layer}") for name in ("inputs", "states", "biases")]
            length, batch, _ = steps.shape
            found = torch.onnx.ops.symbolic(
                "LSTM",
                (steps, *weights),
                attrs={"hidden_size": self.hidden_size, "direction": self.direction},
                dtype=inputs.dtype,
                shape=(length, self.num_directions, batch, self.hidden_size),
            )
            steps = found.transpose(1, 2).reshape(length, batch, self.num_directions * self.hidden_size)
        return steps.transpose(0, 1), None


def replace_lstms(module: nn.Module) -> nn.Module:
    """Return a copy of a module in which every `nn.LSTM` is an `OnnxLSTM`."""
    if isinstance(module, nn.LSTM):
        return OnnxLSTM(module)
    replaced = copy.deepcopy(module)
    for name, child in list(replaced.named_modules()):
        if isinstance(child, nn.LSTM):
            parent, _, attribute = name.rpartition(".")
            setattr(replaced.get_submodule(parent), attribute, OnnxLSTM(child))
    return replaced


def _stack_weights(lstm: nn.LSTM, layer: int) -> dict[str, Tensor]:
    """Return W (R, 4H, I), R (R, 4H, H) and B (R, 8H) of one layer."""
    suffixes = [f"l{layer}", f"l{layer}_reverse"] if lstm.bidirectional else [f"l{layer}"]
    inputs = [_order_gates(getattr(lstm, f"weight_ih_{suffix}")) for suffix in suffixes]
    states = [_order_gates(getattr(lstm, f"weight_hh_{suffix}")) for suffix in suffixes]
    biases = [
        torch.cat([_order_gates(getattr(lstm, f"bias_ih_{suffix}")), _order_gates(getattr(lstm, f"bias_hh_{suffix}"))])
        for suffix in suffixes
    ]
    return {"inputs": torch.stack(inputs), "states": torch.stack(states), "biases": torch.stack(biases)}


def _order_gates(weights: Tensor) -> Tensor:
    """Turn torch's order of gates (input, forget, cell, output) into ONNX's (input, output, forget, cell)."""
    first, forget, cell, output = weights.detach().chunk(4)
    return torch.cat([first, output, forget, cell])
