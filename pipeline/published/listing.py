"""List of the published models: size, licence, state and purpose."""

import textwrap
from pathlib import Path
from typing import NamedTuple

from pipeline.published.fetching import ModelPlaces, is_fetched
from pipeline.published.presets import HubPair, PackagedPair, list_presets, load_folder_search, load_published
from search.fetched_pair import INT8

_COLUMNS = 110
_FLOAT_BYTES = 4


class ListedModel(NamedTuple):
    """A line of the list."""

    name: str
    size: str
    licence: str
    state: str
    good_for: str  # empty if the preset states nothing


def describe_models(places: ModelPlaces) -> list[ListedModel]:
    """Return every published model that the presets name.

    Raises:
        ValueError: naming a preset and each wrong key.
    """
    return [_describe(name, load_published(places.presets, name), places) for name in list_presets(places.presets)]


def list_models(places: ModelPlaces) -> list[str]:
    """Return the lines of the list, as a terminal shows them."""
    rows = [ListedModel("model", "size", "licence", "here", ""), *describe_models(places)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = []
    for row in rows:
        lines.append("  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row.state]))
        lines += [f"    {line}" for line in textwrap.wrap(row.good_for, _COLUMNS)]
    pairs = f"All but real: {load_folder_search(places.presets).good_for}"
    return [*lines, *textwrap.wrap(pairs, _COLUMNS)]


def _describe(name: str, preset: PackagedPair | HubPair, places: ModelPlaces) -> ListedModel:
    if isinstance(preset, PackagedPair):
        size_mb = sum(package.size_mb for package in preset.packages)
        licence, good_for = ", ".join(dict.fromkeys(one.licence.lower() for one in preset.packages)), preset.good_for
    else:
        millions = preset.card.parameters_millions
        size_mb = _FLOAT_BYTES * millions if millions else 0.0
        licence, good_for = preset.licence or "not stated", ""
    return ListedModel(name, f"{size_mb:.0f} MB" if size_mb else "unknown", licence, _find_state(name, preset, places), good_for)


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
