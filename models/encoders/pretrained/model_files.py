"""Files of a published CLIP or SigLIP, in the form of the package `transformers` or of open_clip."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from corpus.files import read_json
from models.encoders.pretrained.networks import load_pretrained, read_architecture
from models.encoders.pretrained.open_clip.model import load_tower
from models.encoders.pretrained.open_clip.pictures import read_preprocessing
from models.encoders.pretrained.open_clip.text import convert_text, read_reading
from models.encoders.pretrained.open_clip.values import Converted, Values
from models.encoders.pretrained.open_clip.vision import convert_vision
from models.encoders.pretrained.pictures import PublishedPictures, read_pictures
from models.encoders.pretrained.reading import Reading, find_padding
from models.encoders.pretrained.source import PICTURES, WEIGHTS, NetworkParams
from models.encoders.pretrained.towers import Tower, find_network_class, read_tower_config

Form = Literal["transformers", "open_clip"]
_OPEN_CLIP_CONFIG, _OPEN_CLIP_WEIGHTS = "open_clip_config.json", "open_clip_*.safetensors"


@dataclass(frozen=True)
class ModelFiles(ABC):
    """The folder of a published model."""

    folder: Path

    @abstractmethod
    def list_weights(self) -> list[Path]:
        """Return the files of weights."""

    @abstractmethod
    def read_pictures(self) -> PublishedPictures:
        """Return the pictures that the model was trained on."""

    @abstractmethod
    def read_reading(self) -> Reading:
        """Return how the text tower reads a sentence."""

    @abstractmethod
    def read_tower(self, tower: Tower) -> dict[str, Any]:
        """Return the architecture of a tower."""

    @abstractmethod
    def load_tower(self, tower: Tower) -> nn.Module:
        """Return a tower with its weights.

        Raises:
            ValueError: naming weights that do not fit, or a file that is not safetensors.
        """


class TransformersFiles(ModelFiles):
    """A model as the package `transformers` stores it: both towers, or one."""

    def list_weights(self) -> list[Path]:
        """Return the files of weights; files of open_clip may lie beside them."""
        return sorted({*self.folder.glob(WEIGHTS)} - {*self.folder.glob(_OPEN_CLIP_WEIGHTS)})

    def read_pictures(self) -> PublishedPictures:
        """Return the picture preparation of preprocessor_config.json."""
        return read_pictures(self.folder / PICTURES)

    def read_reading(self) -> Reading:
        """Return how the text tower reads a sentence: CLIP up to its end, SigLIP with the padding after it."""
        config = read_tower_config(self.folder, "text")
        if config.model_type == "clip_text_model":
            return Reading(config.max_position_embeddings, "end", is_padded=False)
        return Reading(config.max_position_embeddings, "last", is_padded=True, padding_id=find_padding(self.folder))

    def read_tower(self, tower: Tower) -> dict[str, Any]:
        """Return the configuration of a tower."""
        return read_architecture(read_tower_config(self.folder, tower))

    def load_tower(self, tower: Tower) -> nn.Module:
        """Return a tower with its weights."""
        config = read_tower_config(self.folder, tower)
        return load_pretrained(find_network_class(config), self.folder, config)


class OpenClipFiles(ModelFiles):
    """A model as open_clip stores it."""

    @cached_property
    def _values(self) -> Values:
        values: Values = read_json(self.folder / _OPEN_CLIP_CONFIG)
        return values

    def list_weights(self) -> list[Path]:
        """Return the files of weights."""
        return sorted(self.folder.glob(_OPEN_CLIP_WEIGHTS))

    def read_pictures(self) -> PublishedPictures:
        """Return the picture preparation of `preprocess_cfg`."""
        return read_preprocessing(self._values, self.folder / _OPEN_CLIP_CONFIG)

    def read_reading(self) -> Reading:
        """Return how the text tower reads a sentence. A tokenizer of the hub has its padding id; open_clip's pads with 0."""
        reading = read_reading(self._values["model_cfg"])
        if reading.is_padded and self._values["model_cfg"]["text_cfg"].get("hf_tokenizer_name"):
            return reading._replace(padding_id=find_padding(self.folder))
        return reading

    def read_tower(self, tower: Tower) -> dict[str, Any]:
        """Return the configuration that the tower has in `transformers`."""
        return self._convert(tower).architecture

    def load_tower(self, tower: Tower) -> nn.Module:
        """Return a tower with its weights."""
        return load_tower(self._convert(tower))

    def _convert(self, tower: Tower) -> Converted:
        convert = convert_vision if tower == "vision" else convert_text
        return convert(self._state, self._values["model_cfg"])

    @cached_property
    def _state(self) -> dict[str, Any]:
        (path, *others) = self.list_weights()
        if others:
            raise ValueError(
                f"{self.folder} has more than one file {_OPEN_CLIP_WEIGHTS}: {path.name}, {others[0].name}; keep one"
            )
        try:
            state: dict[str, Any] = load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path} cannot be read as safetensors: {error}; copy it again") from error
        return state


class TowerParams(NetworkParams):
    """One tower of a published CLIP or SigLIP."""

    form: Form = "transformers"  # of the source's files

    def find_files(self, *, needs: Sequence[str] = (), reads_pictures: bool = False) -> ModelFiles:
        """Return the files of the source, with those in `needs`.

        Raises:
            FileNotFoundError: when one is missing.
            ValueError: when the licence needs consent and the preset lacks it.
        """
        if self.form == "open_clip":
            return OpenClipFiles(self.find_source(needs=needs, config=_OPEN_CLIP_CONFIG, weights=_OPEN_CLIP_WEIGHTS))
        return TransformersFiles(self.find_source(needs=[*needs, *([PICTURES] if reads_pictures else [])]))
