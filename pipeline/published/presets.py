"""Presets of published pairs for listing and fetching. This reader builds no network and does not load torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from corpus.media.pictures.views import ViewSampling
from corpus.params import Params
from corpus.schema_files import load_yaml, validate
from models.package_source import PackageSource
from search.params import SearchParams

PAIRS, PUBLISHED, CLASS_NAMES = Path("pair"), Path("published"), Path("class_names")
_FOLDER_SEARCH = PUBLISHED / "without_training.yaml"
_FILES = {
    "clip": ("config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", "model*.safetensors*"),
    "open_clip": ("open_clip_config.json", "open_clip_*.safetensors", "tokenizer.json", "tokenizer_config.json"),
    "onnx": ("{pictures}", "{text}", "*preprocessor_config.json", "*tokenizer.json", "*config.json"),
}
_NOTES, _EXTRAS = ("README.md", "LICENSE*"), ("tokenizer_config.json", "*config.json")


class PackagedPair(Params):
    """Packages that hold both networks of a pair; see `presets/published/real.yaml`."""

    good_for: str
    pictures: PackageSource
    sentences: PackageSource
    class_names: str
    sampling: ViewSampling

    @property
    def packages(self) -> tuple[PackageSource, ...]:
        """Both packages."""
        return self.pictures, self.sentences


class _Facts(BaseModel):
    """The values read here from a preset of another component. The component's schema checks the others."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Card(_Facts):
    parameters_millions: PositiveFloat | None = None  # of both towers


class FolderSearch(Params):
    """Search settings of pairs without a training; see `presets/published/without_training.yaml`."""

    order: tuple[str, ...]  # of pairs, the most capable first
    good_for: str
    retriever: Mapping[str, Any]  # values of a component, which its registry checks
    localizer: Mapping[str, Any]
    window_s: PositiveFloat
    max_difference: PositiveFloat
    min_cosine: float = Field(gt=0, le=1)
    search: SearchParams


class HubPair(_Facts):
    """A pair whose files come from a repository of a hub."""

    name: str
    source: str  # the folder where the pipeline reads the files
    repository: str | None = None
    revision: str | None = None  # a commit; null: the newest, which the lock then records
    licence: str | None = None
    accept_licence: bool = False
    folder: str | None = None  # of ONNX files inside the source
    picture_file: str | None = None
    text_file: str | None = None
    card: _Card = _Card()

    @property
    def files(self) -> tuple[str, ...]:
        """The files of the repository that the component reads, as patterns.

        Raises:
            ValueError: naming a component without known files.
        """
        if self.name not in _FILES:
            raise ValueError(f"the files of the component {self.name!r} are unknown; copy them to {self.source}")
        inside = f"{self.folder}/" if self.folder else "*"  # other folders of the hub hold other sizes
        networks = {
            "pictures": f"{inside}{self.picture_file or 'vision_model.onnx'}",
            "text": f"{inside}{self.text_file or 'text_model.onnx'}",
        }
        return (*(pattern.format(**networks) for pattern in _FILES[self.name]), *_NOTES)

    @property
    def needed(self) -> tuple[str, ...]:
        """The patterns of `files` that a bundle needs."""
        return tuple(pattern for pattern in self.files if pattern not in (*_NOTES, *_EXTRAS))


def load_folder_search(presets: Path) -> FolderSearch:
    """Read the search settings of pairs without a training.

    Raises:
        ValueError: naming the file and each wrong key.
    """
    path = presets / _FOLDER_SEARCH
    found: FolderSearch = validate(FolderSearch, load_yaml(path), source=path)
    return found


def list_presets(presets: Path) -> list[str]:
    """Return the names of the presets of pairs, in alphabetical order."""
    return sorted(path.stem for path in (presets / PAIRS).glob("*.yaml"))


def find_preset(presets: Path, name: str) -> Path:
    """Return the file of the preset of a pair.

    Raises:
        ValueError: naming the known presets.
    """
    if name not in list_presets(presets):
        known = ", ".join(list_presets(presets)) or "none"
        raise ValueError(f"the model {name!r} is unknown; known: {known}; run: cuepoint models list")
    return presets / PAIRS / f"{name}.yaml"


def load_published(presets: Path, name: str) -> PackagedPair | HubPair:
    """Read the preset of a pair.

    Raises:
        ValueError: naming the known presets, or the preset and each wrong key.
    """
    packaged, path = presets / PUBLISHED / f"{name}.yaml", find_preset(presets, name)
    if packaged.is_file():
        pair: PackagedPair = validate(PackagedPair, load_yaml(packaged), source=packaged)
        return pair
    hub: HubPair = validate(HubPair, load_yaml(path), source=path)
    return hub
