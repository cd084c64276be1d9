"""List of the published models: size, licence, state and purpose."""

import textwrap
from pathlib import Path
from typing import NamedTuple

from models.licence import forbids_commercial_use
from pipeline.published.fetching import ModelPlaces, is_fetched
from pipeline.published.presets import HubPair, PackagedPair, list_presets, load_folder_search, load_published
from search.fetched_pair import INT8

_COLUMNS = 110
_FLOAT_BYTES = 4
_RESEARCH = "research only"
_CONSENT = (
    f"{_RESEARCH}: the licence forbids commercial use. Such a model is neither fetched nor trained on until its preset, "
    "presets/pair/MODEL.yaml, says accept_licence: true, by which you state that your use is research."
)


class ListedModel(NamedTuple):
    """A line of the list."""

    name: str
    size: str
    licence: str
    state: str
    good_for: str  # empty if the preset states nothing
    is_research_only: bool = False


def describe_models(places: ModelPlaces) -> list[ListedModel]:
    """Return every published model that the presets name.

    Raises:
        ValueError: naming a preset and each wrong key.
    """
    return [_describe(name, load_published(places.presets, name), places) for name in list_presets(places.presets)]


def list_models(places: ModelPlaces) -> list[str]:
    """Return the lines of the list, as a terminal shows them."""
    models = describe_models(places)
    rows = [ListedModel("model", "size", "licence", "here", ""), *models]
    columns = [[row.name, row.size, row.licence] for row in rows]
    widths = [max(map(len, texts)) for texts in zip(*columns, strict=True)]
    lines = []
    for row, texts in zip(rows, columns, strict=True):
        lines.append("  ".join([*(text.ljust(width) for text, width in zip(texts, widths, strict=True)), row.state]))
        lines += [f"    {line}" for line in textwrap.wrap(row.good_for, _COLUMNS)]
    pairs = f"All but real: {load_folder_search(places.presets).good_for}"
    consent = textwrap.wrap(_CONSENT, _COLUMNS) if any(model.is_research_only for model in models) else []
    return [*lines, *consent, *textwrap.wrap(pairs, _COLUMNS)]


def _describe(name: str, preset: PackagedPair | HubPair, places: ModelPlaces) -> ListedModel:
    if isinstance(preset, PackagedPair):
        size_mb = sum(package.size_mb for package in preset.packages)
        licence, good_for = ", ".join(dict.fromkeys(one.licence.lower() for one in preset.packages)), preset.good_for
        is_research_only = any(forbids_commercial_use(one.licence) for one in preset.packages)
    else:
        millions = preset.card.parameters_millions
        size_mb = _FLOAT_BYTES * millions if millions else 0.0
        licence, good_for = _describe_licence(preset), ""
        is_research_only = forbids_commercial_use(preset.licence)
    size, state = f"{size_mb:.0f} MB" if size_mb else "unknown", _find_state(name, preset, places)
    return ListedModel(name, size, licence, state, good_for, is_research_only)


def _describe_licence(preset: HubPair) -> str:
    licence = preset.licence or "not stated"
    if not forbids_commercial_use(preset.licence):
        return licence
    return f"{licence}, {_RESEARCH}{' (accepted)' if preset.accept_licence else ''}"


def _find_state(name: str, preset: PackagedPair | HubPair, places: ModelPlaces) -> str:
    folders = [places.models / one for one in (name, f"{name}{INT8}") if is_fetched(one, places)]
    if folders:
        sizes = (sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) for folder in folders)
        return "yes, " + " and ".join(f"{size / 1e6:.0f} MB in {folder}" for size, folder in zip(sizes, folders, strict=True))
    if isinstance(preset, HubPair) and has_networks(Path(preset.source)):
        return f"files in {preset.source}, no bundle; cuepoint models fetch {name}"
    return f"no; cuepoint models fetch {name}"


def has_networks(folder: Path) -> bool:
    """Tell whether a folder holds files of networks."""
    return folder.is_dir() and any(any(folder.rglob(pattern)) for pattern in ("*.safetensors", "*.onnx"))
