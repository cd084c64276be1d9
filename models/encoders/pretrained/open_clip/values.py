"""Values of an `open_clip_config.json`, and the refusal of those that no tower here can express."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from torch import Tensor

Values = Mapping[str, Any]
State = Mapping[str, Tensor]  # name of a weight -> weight


class Converted(NamedTuple):
    """One tower: the configuration of its network in `transformers`, and its weights under the network's names."""

    architecture: dict[str, Any]
    weights: dict[str, Tensor]


def require_known(values: Values, known: Collection[str], *, tower: str) -> None:
    """Refuse values that change the network and are not among the known ones.

    Raises:
        ValueError: naming the value, and the other way to run the model.
    """
    for key, value in values.items():
        if key not in known and value not in (None, False, 0, "", "default", "learnable"):
            raise refuse(f"{tower}_cfg.{key} = {value!r}")


def refuse(what: str) -> ValueError:
    """Return the error about an unsupported value of the configuration."""
    return ValueError(
        f"the open_clip model has {what}, which is not supported; take a pair of ONNX files of this model instead: "
        "dvc exp run -S pretrain.encoder=onnx"
    )


def read_activation(values: Values, *, quick_gelu: bool) -> str:
    """Return the name that `transformers` gives the activation of a tower."""
    if quick_gelu:
        return "quick_gelu"
    return "gelu_pytorch_tanh" if (values.get("act_kwargs") or {}).get("approximate") == "tanh" else "gelu"


def read_epsilon(values: Values, default: float = 1e-5) -> float:
    """Return the epsilon of layer normalisation."""
    return float((values.get("norm_kwargs") or {}).get("eps", default))


def take(state: State, prefix: str) -> dict[str, Tensor]:
    """Return the weights below a prefix, by the rest of their names."""
    return {name.removeprefix(prefix): weight for name, weight in state.items() if name.startswith(prefix)}


def split_thirds(name: str, weight: Tensor) -> dict[str, Tensor]:
    """Return a joint projection of queries, keys and values, `<layer>.weight` or `.bias` of height 3 W, as three."""
    kind = name.rpartition(".")[2].rpartition("_")[2]
    parts = zip(("q_proj", "k_proj", "v_proj"), weight.chunk(3), strict=True)
    return {f"{part}.{kind}": third.contiguous() for part, third in parts}
