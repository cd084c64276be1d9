"""Tiny published pairs of real architectures with random weights: their files as people copy them, and their presets."""

import os
import shutil
from pathlib import Path
from typing import Any, Literal, NamedTuple
from unittest.mock import patch

import pytest
import yaml

from cuepoint.__main__ import main
from flat_videos import Flat, write_flat
from tiny_onnx import make_pictures, make_sentences, save_pair
from tiny_text import save_clip, save_open_clip, save_siglip

ROOT = Path(__file__).resolve().parents[1]
Form = Literal["clip", "siglip_b16", "open_clip", "onnx"]
FORMS: tuple[Form, ...] = ("clip", "siglip_b16", "open_clip", "onnx")


class PairProject(NamedTuple):
    """Folders of a search with a fetched pair."""

    root: Path  # the working folder of commands
    model: Path
    videos: Path
    index: Path

    @classmethod
    def name(cls, root: Path, model: str) -> "PairProject":
        """Return the folders below a root."""
        return cls(root, root / "data" / "models" / model, root / "videos", root / "videos-index")

    @property
    def environment(self) -> dict[str, str]:
        """The variables that let a service answer from them."""
        return {"CUEPOINT_BUNDLE": str(self.model), "CUEPOINT_INDEX": str(self.index), "CUEPOINT_MEDIA_ROOT": str(self.videos)}


def write_videos(folder: Path) -> None:
    """Write two videos of one colour: 4 s and 2.5 s."""
    folder.mkdir()
    write_flat(folder / "white.mp4", Flat((235, 128, 128), size=(96, 64)), num_frames=40)
    write_flat(folder / "grey.mp4", Flat((90, 60, 190), size=(64, 96)), num_frames=25)


def fetch(form: Form, root: Path, **values: Any) -> Path:
    """Fetch a tiny pair by the command, in the working folder `root`; return the folder of its bundle."""
    root.mkdir(exist_ok=True)
    save_preset(form, root, **values)
    with patch.dict(os.environ), pytest.MonkeyPatch.context() as place:  # commands prepare the environment
        os.environ.pop("CUEPOINT_MODELS", None)
        place.chdir(root)
        assert main(["models", "fetch", form]) == 0
    return PairProject.name(root, form).model


def save_pair_project(root: Path) -> None:
    """Write a fetched CLIP, two videos and their index."""
    from search.indexing.folder_index import index_folder

    project = PairProject.name(root, "clip")
    fetch("clip", root)
    write_videos(project.videos)
    index_folder(project.videos, bundle_dir=project.model, output_dir=project.index, num_workers=1)


def save_preset(form: Form, root: Path, *, pictures: Any = None) -> Path:
    """Write the files of a pair into the source of its preset, below `root`, with that preset; return the folder of presets."""
    presets, source = root / "presets", root / "copied" / form
    if not presets.exists():
        shutil.copytree(ROOT / "presets", presets)
        (presets / "models.lock.json").unlink()
    path = presets / "pair" / f"{form}.yaml"
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    values |= {"source": str(source), "weights_sha256": None, "revision": None, **_save_files(form, source, pictures)}
    values["sampling"] |= {"size_px": 16 if form == "onnx" else 8}
    if form == "onnx":  # the picture preparation of the tiny one is CLIP's
        clip = yaml.safe_load((ROOT / "presets" / "pair" / "clip.yaml").read_text(encoding="utf-8"))
        values["sampling"]["preparation"] = clip["sampling"]["preparation"]
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return presets


def _save_files(form: Form, source: Path, pictures: Any) -> dict[str, Any]:
    """Write the files and return the values of the preset that the tiny size changes."""
    if form == "clip":
        save_clip(source)
        return {}
    if form == "siglip_b16":
        save_siglip(source)
        return {"max_tokens": 16, "padding_id": 1}
    if form == "open_clip":
        save_open_clip(source, save_clip(source.with_name("as_clip")))
        return {}
    save_pair(source, pictures or make_pictures(), make_sentences())
    return {"max_tokens": 16, "padding_id": 1, "is_padded": False, "picture_file": None, "text_file": None}
