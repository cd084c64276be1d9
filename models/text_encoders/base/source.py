"""The files of a pretrained network: a folder put there by its owner, or one revision of a repository of the Hugging Face hub."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field
from safetensors import SafetensorError
from torch import nn

from corpus.text import PretrainedTokenizer
from models.text_encoders.base.frozen import FrozenTextEncoderParams

CONFIG, WEIGHTS = "config.json", "*.safetensors"
_FILES = [CONFIG, WEIGHTS, "*.safetensors.index.json", PretrainedTokenizer.file_name, "modules.json", "*/config.json"]
_NO_PART_OF_THE_NETWORK = ("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version")
_POSITIONS_BEHIND_PADDING = ("camembert", "mpnet", "roberta", "xlm-roberta")  # count positions from the id of padding on

ATTENTION = "eager"  # the implementation that is exported as it runs

Architecture = Mapping[str, Any]


class PretrainedParams(FrozenTextEncoderParams):
    """Values of text encoders that the package `transformers` builds."""

    source: str = Field(min_length=1)  # a folder; with `revision`, a repository of the hub: owner/name
    revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")  # the commit of the repository, in full
    max_tokens: int = Field(ge=4)  # of a sentence, special tokens among them; later ones are cut
    architecture: Architecture | None = None  # of the network; pretraining copies it from the source

    def require_architecture(self) -> dict[str, Any]:
        """Return the architecture.

        Raises:
            ValueError: when it has not been read from the source.
        """
        if self.architecture is None:
            raise ValueError(f"{self.source}: the architecture is not known before pretraining; run: dvc repro pretrain")
        return dict(self.architecture)

    def require_positions(self, config: Any) -> None:
        """Refuse sentences longer than the network of a configuration has positions.

        Raises:
            ValueError: naming both numbers.
        """
        behind_padding = config.model_type in _POSITIONS_BEHIND_PADDING
        num_positions = config.max_position_embeddings - (config.pad_token_id + 1 if behind_padding else 0)
        if self.max_tokens > num_positions:
            raise ValueError(f"max_tokens = {self.max_tokens}, but {self.source} has {num_positions} positions; lower max_tokens")


def import_transformers() -> Any:
    """Return the package `transformers`, which only encoders of others need.

    Raises:
        ImportError: naming the extra, when it is not installed.
    """
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise ImportError("this text encoder needs the package transformers; install it: pip install 'cuepoint[text]'") from error
    return transformers


def find_source(source: str, revision: str | None) -> Path:
    """Return the folder with a network's configuration, weights and tokenizer, fetched from the hub where it has a revision.

    Raises:
        FileNotFoundError: when there is no such folder, it lacks one of the files, or the hub does not answer.
    """
    folder = Path(source) if revision is None else _fetch(source, revision)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"the folder {source} of a pretrained text encoder does not exist; copy {CONFIG}, {WEIGHTS} and "
            f"{PretrainedTokenizer.file_name} of the model into it, or name a repository of the hub with its revision"
        )
    for pattern in (CONFIG, PretrainedTokenizer.file_name, WEIGHTS):
        if not any(folder.glob(pattern)):
            raise FileNotFoundError(f"{folder} has no {pattern}{_explain(folder, pattern)}")
    return folder


def read_architecture(config: Any) -> dict[str, Any]:
    """Return a configuration of `transformers` as JSON values, without what says nothing of the network."""
    values = json.loads(json.dumps(config.to_dict()))
    return {name: value for name, value in values.items() if name not in _NO_PART_OF_THE_NETWORK}


def load_tokenizer_of(folder: Path, *, max_tokens: int, num_ids: int) -> PretrainedTokenizer:
    """Return the tokenizer of a source.

    Raises:
        ValueError: when it has more tokens than the network's `num_ids`.
    """
    path = folder / PretrainedTokenizer.file_name
    tokenizer = PretrainedTokenizer.load(path).cut(max_tokens)
    if len(tokenizer) - 1 > num_ids:
        raise ValueError(
            f"{path} has {len(tokenizer) - 1} tokens, but the network of {folder} {num_ids}; they are not of one model"
        )
    return tokenizer


def load_pretrained(kind: Any, folder: Path, config: Any) -> nn.Module:
    """Return a network of `transformers` with the weights of a folder, from safetensors only.

    Raises:
        ValueError: naming weights that the folder lacks or holds in another shape, or a file that is no safetensors.
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


def _fetch(repository: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=_FILES))
    except (OSError, ValueError) as error:  # no network, no such repository or revision, a name that is none
        raise FileNotFoundError(
            f"cannot fetch {repository} at {revision} from the hub: {str(error).splitlines()[0]}; where the hub is out of reach, "
            "copy the files of the model into a folder and name it as source, without a revision"
        ) from error


def _explain(folder: Path, pattern: str) -> str:
    pickles = sorted(path.name for path in folder.glob("*.bin"))
    if pattern == WEIGHTS and pickles:
        return f" but {pickles[0]}, a pickle, which may run code and is not read; take a revision with safetensors or convert it"
    if pattern == PretrainedTokenizer.file_name:
        return "; older models lack it: AutoTokenizer.from_pretrained(folder).save_pretrained(folder) writes it"
    return "; copy it from where the model is published"
