"""`cuepoint serve`: starts the search service on loopback, with the champion or with a bundle folder."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cuepoint.models_shown import say_model
from cuepoint.parsing import add_command, add_media, add_models, parse_port
from cuepoint.places import (
    DEFAULT_STATE,
    choose_bundle,
    default_index,
    default_models,
    describe_missing_media,
    explain_unwritable,
    find_media_dir,
    parse_path,
    read_index_file,
)
from cuepoint.running import become, has_package, say

if TYPE_CHECKING:
    from cuepoint.parsing import Commands

_DESCRIPTION = """\
Serve the search on 127.0.0.1: a page and an API. The service uses the champion of the registry and follows it without an
interruption, or the bento of the checkout if there is no champion. With --bundle, or without MLflow, it uses the folders of a
bundle and an index directly."""
_EXAMPLES = """
cuepoint serve
cuepoint serve --index ~/Videos/holiday-index --port 8080
cuepoint serve --bundle ~/models/bundle --index ~/Videos/holiday-index      works outside a checkout
cuepoint serve --challenger share --share 0.1                               the challenger answers a tenth of the clients
"""
_SQLITE, _BENTO = "sqlite:///", Path("data/bento")
_STATE_REMEDY = "name a writable folder for uploads and feedback: CUEPOINT_STATE=FOLDER cuepoint serve"
_CACHE_REMEDY = "run cuepoint serve in a writable folder, or serve a bundle folder: --bundle FOLDER --index FOLDER"


def add(commands: "Commands") -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "serve",
        run,
        purpose="serve the search as a page and an API on 127.0.0.1",
        description=_DESCRIPTION,
        examples=_EXAMPLES,
    )
    parser.add_argument("--port", type=parse_port, default=3000, help="(default: 3000)")
    parser.add_argument(
        "--index",
        type=parse_path,
        default=os.environ.get("CUEPOINT_INDEX") or None,
        metavar="FOLDER",
        help="folder of the index (default: CUEPOINT_INDEX, or the index of the bento)",
    )
    add_models(parser, bundle="folder of the models, instead of a bento")
    add_media(parser)
    parser.add_argument("--challenger", choices=("share", "shadow"), help="run the registry's challenger beside the champion")
    parser.add_argument("--share", type=float, default=0.1, help="share of clients that the challenger answers (default: 0.1)")


def run(options: argparse.Namespace) -> int:
    """Replace this process with the server."""
    if options.index is not None:
        _warn_of_missing_videos(options)
    if options.media is not None:
        os.environ["CUEPOINT_MEDIA_ROOT"] = str(options.media.absolute())
    reason = _find_reason_for_folders(options)
    if reason is None:
        return _serve_champion(options)
    if options.challenger:
        raise ValueError(f"--challenger needs the registry's champion, but {reason}; leave out --challenger")
    if options.bundle is None and options.model is None:
        say(f"{reason}: serving the folders of a bundle and an index")
    return _serve_folders(options)


def _find_reason_for_folders(options: argparse.Namespace) -> str | None:
    """Return the reason to serve the folders of a bundle and an index, None to ask the registry for its champion."""
    from pipeline.tracking.server import find_tracking_uri

    if options.bundle is not None:
        return "--bundle names a folder"
    if options.model is not None:
        return "--model names a fetched model"
    if options.index is not None and choose_bundle(None, options.index).parent == default_models():
        return "the index was made by published models, which the registry does not hold"
    if not has_package("mlflow"):
        return "MLflow is not installed, so there is no registry to ask for a champion (pip install 'cuepoint[train]')"
    uri = find_tracking_uri()
    if uri.startswith(_SQLITE) and not Path(uri.removeprefix(_SQLITE)).is_file() and not _BENTO.is_dir():
        return f"this folder has no registry and no {_BENTO}"
    return None


def _warn_of_missing_videos(options: argparse.Namespace) -> None:
    index = read_index_file(options.index)
    indexed = Path(index["media_dir"]) if index["media_dir"] else None
    media_dir = find_media_dir(options.media, indexed=indexed, corpus=index["corpus"])
    if message := describe_missing_media(media_dir, options.index, is_folder=indexed is not None):
        say(f"warning: {message}")


def _find_state() -> Path:
    return Path(os.environ.get("CUEPOINT_STATE") or DEFAULT_STATE).absolute()


def _require_state() -> None:
    """Create the folder for uploads and feedback, and test that it is writable, before the server starts.

    Raises:
        PlaceError: when the folder is not writable.
    """
    import tempfile

    folder = _find_state()
    with explain_unwritable(folder, _STATE_REMEDY):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def _serve_champion(options: argparse.Namespace) -> int:
    from pipeline.launch import serve

    arguments = ["--port", str(options.port)]
    if options.index is not None:
        arguments.append(f"--index={options.index}")
    if options.challenger:
        arguments += ["--challenger", options.challenger, "--share", str(options.share)]
    _require_state()
    with explain_unwritable(Path(".cache"), _CACHE_REMEDY):
        serve.main(arguments)
    return 0


def _serve_folders(options: argparse.Namespace) -> int:
    """Serve a bundle and an index from their folders, without the training tools."""
    from search.kinds import require_made_by

    index_dir = options.index or default_index()
    bundle_dir = choose_bundle(options.bundle, index_dir, model=options.model)
    index = read_index_file(index_dir)
    require_made_by(index_dir, bundle_dir)
    say_model(bundle_dir)
    _require_state()
    media_dir = find_media_dir(
        options.media, indexed=Path(index["media_dir"]) if index["media_dir"] else None, corpus=index["corpus"]
    )
    variables = {
        "CUEPOINT_BUNDLE": bundle_dir,
        "CUEPOINT_INDEX": index_dir,
        "CUEPOINT_MEDIA_ROOT": media_dir,
        "CUEPOINT_STATE": _find_state(),
        "BENTOML_HOME": _find_state() / "bentoml",
    }
    print(f"serving {bundle_dir} and {index_dir} on http://127.0.0.1:{options.port}", flush=True)
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:CuepointService", "--host", "127.0.0.1"]
    absolute = {name: str(path.absolute()) for name, path in variables.items()}
    return become([*command, "--port", str(options.port)], package="bentoml", **absolute)
