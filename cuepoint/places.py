"""Checks of the folders that a command is given: missing, moved, wrong or read-only folders are refused with a remedy."""

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cuepoint.texts import join_command

DEFAULT_BUNDLE, DEFAULT_INDEX, DEFAULT_STATE, RAW = (
    Path("data/bundle"),
    Path("data/index"),
    Path("data/service"),
    Path("data/raw"),
)
DEFAULT_MODELS, LAST_MODEL = Path("data/models"), "real"  # the published model that answers if no other is fetched
_INDEX_FILE, _MANIFEST_FILE = "index.json", "manifest.json"


class PlaceError(OSError):
    """A folder cannot be used; the message names the remedy."""


def parse_path(text: str) -> Path:
    """Read a path of the command line.

    Raises:
        ArgumentTypeError: when it is empty, or begins with a `~` that the shell did not expand.
    """
    if not text:
        raise argparse.ArgumentTypeError("the path is empty; name a folder (`.` is this one)")
    start = text.partition("/")[0]
    if text.startswith("~") and not os.path.lexists(start):
        home = f'"$HOME{text[1:]}"' if start == "~" else repr(os.path.expanduser(text))
        raise argparse.ArgumentTypeError(
            f"the shell did not expand {start!r}; write {home} (or ./{text} for a folder of that name)"
        )
    return Path(text)


def choose_bundle(named: Path | None, index_dir: Path | None = None, *, model: str | None = None) -> Path:
    """Return the folder of the models: the named one, a fetched `model`, `CUEPOINT_BUNDLE`, the maker of the index, or a default.

    The default is the bundle of the checkout, otherwise the most capable fetched model. Without either it is the bundle folder
    of the checkout, whose loader then names the commands that get models.

    Raises:
        PlaceError: when `model` is not fetched, with the command that fetches it.
    """
    if model is not None:
        return _find_model(model)
    given = named or (Path(os.environ["CUEPOINT_BUNDLE"]) if os.environ.get("CUEPOINT_BUNDLE") else None)
    if given is not None:
        return given
    fetched = _list_fetched()
    made = read_object(index_dir / _INDEX_FILE).get("bundle_version") if index_dir else None
    for folder in (DEFAULT_BUNDLE, *fetched) if made else ():
        if read_object(folder / _MANIFEST_FILE).get("version") == made:
            return folder
    if (DEFAULT_BUNDLE / _MANIFEST_FILE).is_file() or not fetched:
        return DEFAULT_BUNDLE
    return fetched[0]


def _find_model(name: str) -> Path:
    from search.fetched_pair import name_fetch

    folder = default_models() / name
    if not (folder / _MANIFEST_FILE).is_file():
        raise PlaceError(f"the model {name} is not in {default_models()}; run: {name_fetch(name)}")
    return folder


def _list_fetched() -> list[Path]:
    """Return the folders of the fetched models, most capable first; pairs without an order follow, and `real` is last."""
    models = default_models()
    fetched = [folder for folder in models.iterdir() if (folder / _MANIFEST_FILE).is_file()] if models.is_dir() else []
    if len(fetched) <= 1:
        return fetched
    from pipeline.published.presets import load_folder_search
    from search.fetched_pair import INT8

    order = load_folder_search(find_presets()).order

    def rank(folder: Path) -> tuple[bool, int, str]:
        name = folder.name.removesuffix(INT8)
        return folder.name == LAST_MODEL, order.index(name) if name in order else len(order), folder.name

    return sorted(fetched, key=rank)


def require_same_models(output: Path, bundle_dir: Path) -> None:
    """Refuse to add videos to an index that other models made, if no option named the models; trained models may be newer.

    Raises:
        PlaceError: naming both models, with the commands that fetch those of the index or rebuild it.
    """
    index, manifest = read_object(output / _INDEX_FILE), read_object(bundle_dir / _MANIFEST_FILE)
    made, model = read_pair(index), read_pair(manifest)
    if not index or not manifest or made.get("name") == model.get("name"):
        return
    from search.fetched_pair import name_fetch

    again = join_command(["cuepoint", "index", index.get("media_dir") or "FOLDER", "--output", output, "--bundle", bundle_dir])
    fetch = f"to fetch them: {name_fetch(made['name'])}; " if made else ""
    raise PlaceError(
        f"{output} was made by {_spell(made)}, which are not here, and two models never share an index; "
        f"{fetch}to rebuild the index with {_spell(model)}: {again}"
    )


def read_pair(content: dict[str, Any]) -> dict[str, Any]:
    """Return name and revision of the fetched model of a manifest or an index, as JSON; empty for trained models."""
    models = content.get("models")
    found = models.get("pair") if isinstance(models, dict) else content.get("model")
    return found if isinstance(found, dict) and isinstance(found.get("name"), str) else {}


def _spell(model: dict[str, Any]) -> str:
    return f"{model['name']} at {model.get('revision')}" if model else "models that were trained"


def default_models() -> Path:
    """Return `CUEPOINT_MODELS`, or the published models of the checkout."""
    return Path(os.environ.get("CUEPOINT_MODELS") or DEFAULT_MODELS)


def find_presets() -> Path:
    """Return the folder of the presets: `presets/` in this folder, otherwise the folder beside the code."""
    here = Path("presets")
    return here if here.is_dir() else Path(__file__).resolve().parents[1] / "presets"


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file; empty if there is none, because the file's loader reports what is wrong."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def default_index() -> Path:
    """Return `CUEPOINT_INDEX`, or the index of the checkout."""
    return Path(os.environ.get("CUEPOINT_INDEX") or DEFAULT_INDEX)


def name_output(folder: Path) -> Path:
    """Return the folder of the index beside a folder of videos.

    Raises:
        PlaceError: when `folder` is the root, which has no folder beside it.
    """
    whole = Path(os.path.abspath(folder))
    if not whole.name:
        raise PlaceError(f"the index of {folder} cannot lie beside it; name another folder with --output")
    beside = whole.with_name(f"{whole.name}-index")
    return beside if folder.is_absolute() else Path(os.path.relpath(beside))


def require_videos(folder: Path, output: Path) -> None:
    """Refuse a folder of videos that is missing or unreadable.

    Raises:
        PlaceError: with the remedy.
    """
    try:
        is_there = folder.is_dir()
    except OSError as error:
        raise PlaceError(f"{folder} cannot be read: {error.strerror}; {_CONNECT}, or name another folder") from error
    if is_there or folder.exists():
        return  # the search for videos reports a file in place of a folder
    if (output / _INDEX_FILE).is_file():
        again = join_command(["cuepoint", "index", "NEW_FOLDER", "--output", output])
        raise PlaceError(
            f"{folder} is missing, but its index {output} exists, so the videos may have been moved; {_CONNECT}, "
            f"or name their new folder (indexed videos are not encoded again): {again}"
        )
    raise PlaceError(f"{folder} is missing; name the folder that holds the videos")


_CONNECT = "connect its disk"


@contextmanager
def explain_unwritable(output: Path, remedy: str) -> Iterator[None]:
    """Add the remedy to the error when a folder cannot be created or written.

    Raises:
        PlaceError: in place of an OSError about `output`, its parents or its files; a full disk keeps its own error.
    """
    from corpus.files import NO_ROOM, NoRoomError

    try:
        yield
    except PlaceError:
        raise
    except OSError as error:
        name = error.filename2 or error.filename
        if isinstance(error, NoRoomError) or error.errno in NO_ROOM or not isinstance(name, str) or not _is_along(name, output):
            raise
        raise PlaceError(f"{output} cannot be written ({error.strerror}: {name}); {remedy}") from error


def _is_along(name: str, output: Path) -> bool:
    path, whole = Path(os.path.abspath(name)), Path(os.path.abspath(output))
    return path.is_relative_to(whole) or whole.is_relative_to(path)


def require_index(index_dir: Path) -> None:
    """Refuse a folder without an index, with a remedy for its case.

    Raises:
        PlaceError: naming the index beside the folder, or saying that the folder is missing.
    """
    try:
        if (index_dir / _INDEX_FILE).is_file() or index_dir == DEFAULT_INDEX:
            return  # the loader names the commands that make the index of the checkout
        is_there = index_dir.exists()
    except OSError as error:
        raise PlaceError(
            f"the index {index_dir} cannot be read: {error.strerror}; {_CONNECT}, or name another index: --index FOLDER"
        ) from error
    if not is_there:
        raise PlaceError(
            f"the index {index_dir} is missing; if it was moved, name its new folder with --index; "
            f"if it is on another disk, connect that disk; to make an index, run: cuepoint index FOLDER"
        )
    beside = name_output(index_dir) if Path(os.path.abspath(index_dir)).name else index_dir
    if (beside / _INDEX_FILE).is_file():
        raise PlaceError(f"{index_dir} holds no index, but the folder beside it does; use: --index {join_command([beside])}")
    raise PlaceError(
        f"{index_dir} holds no finished index; if it is a folder of videos, run: {join_command(['cuepoint', 'index', index_dir])}"
    )


def find_media_dir(media: Path | None, *, indexed: Path | None, corpus: str) -> Path:
    """Return the folder of the videos: `media`, `CUEPOINT_MEDIA_ROOT`, the indexed folder, or the folder of the corpus."""
    named = media or (Path(os.environ["CUEPOINT_MEDIA_ROOT"]) if os.environ.get("CUEPOINT_MEDIA_ROOT") else None)
    return named or indexed or RAW / corpus


def describe_missing_media(media_dir: Path, index_dir: Path, *, is_folder: bool) -> str | None:
    """Return a message with its remedy if the folder of an index's videos is missing or unreadable, else None."""
    try:
        if media_dir.is_dir():
            return None
        reason = "is missing"
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    again = join_command(["cuepoint", "index", "NEW_FOLDER", "--output", index_dir])
    lasting = f"; to record the new folder in the index (nothing is encoded again): {again}" if is_folder else ""
    return (
        f"the videos cannot be played: their folder {media_dir} {reason}; "
        f"{_CONNECT}, or name its new folder: --media NEW_FOLDER{lasting}"
    )


def read_index_file(index_dir: Path) -> dict[str, Any]:
    """Return the description of an index; see `search.collection.read_index`."""
    from search.collection import read_index

    require_index(index_dir)
    return read_index(index_dir)
