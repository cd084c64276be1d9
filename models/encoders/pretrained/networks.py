"""Networks of the package `transformers`: architectures as JSON values, and weights from safetensors."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import nn

ATTENTION = "eager"  # this implementation exports exactly as it runs

_NO_PART_OF_THE_NETWORK = ("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version")


def import_transformers() -> Any:
    """Return the package `transformers`, which only published encoders need.

    Raises:
        ImportError: naming the extra, when the package is not installed.
    """
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise ImportError("this encoder needs the package transformers; install it: pip install 'cuepoint[text]'") from error
    return transformers


def read_architecture(config: Any) -> dict[str, Any]:
    """Return a configuration of `transformers` as JSON values, without entries that do not describe the network."""
    values = json.loads(json.dumps(config.to_dict()))
    return {name: value for name, value in values.items() if name not in _NO_PART_OF_THE_NETWORK}


def load_pretrained(kind: Any, folder: Path, config: Any) -> nn.Module:
    """Return a network of `transformers` with the weights of a folder, from safetensors only.

    Raises:
        ValueError: naming weights that are missing or of another shape, or a file that is not safetensors.
    """
    messages = import_transformers().utils.logging
    messages.set_verbosity_error()
    messages.disable_progress_bar()
    options = {"use_safetensors": True, "local_files_only": True, "trust_remote_code": False, "dtype": "float32"}
    try:
        network, found = kind.from_pretrained(
            folder,
            config=config,
            attn_implementation=ATTENTION,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **options,
        )
    except SafetensorError as error:
        raise ValueError(f"the weights of {folder} cannot be read as safetensors: {error}; copy them again") from error
    wrong = sorted(map(str, [*found["missing_keys"], *found["mismatched_keys"]]))
    if wrong:
        raise ValueError(
            f"the weights of {folder} do not fit {kind.__name__}: {len(wrong)} are missing or of another shape: {wrong[0]}"
        )
    module: nn.Module = network
    return module
