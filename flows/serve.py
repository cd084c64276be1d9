"""Serves the champion's bento, or the working tree's where there is no champion yet: python -m flows.serve --port 3000.

With --challenger, the registry's challenger is tried beside the champion.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from corpus.files import read_json, sha256_file
from flows.champion import BENTO_FILE
from serving.bundle import load_bundle
from serving.collection import name_remedy, read_index
from stages.support import paths
from stages.support.entry import run_main
from stages.support.tracking import DIGEST_TAG, RegisteredVersion, fetch_version, read_challenger, read_champion


class ChosenBento(NamedTuple):
    """The archive to serve and where it comes from."""

    path: Path
    origin: str


def choose_bento(cache_dir: Path) -> ChosenBento:
    """Return the champion's archive, fetched once into `cache_dir`, or the working tree's.

    Raises:
        ValueError: when there is neither.
        TrackingError: when the registry cannot be used: it alone knows whether there is a champion.
    """
    champion = read_champion()
    if champion is not None:
        return ChosenBento(_fetch(champion, cache_dir), f"the champion, version {champion.version}")
    path = paths.BENTO / BENTO_FILE
    if not path.is_file():
        raise ValueError(f"there is no champion yet and no {path}; run: make repro")
    return ChosenBento(path, "the working tree (there is no champion yet)")


def _fetch(registered: RegisteredVersion, cache_dir: Path) -> Path:
    folder = cache_dir / "registered" / registered.version
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            fetch_version(registered.version, Path(scratch)).rename(folder)
    found, expected = sha256_file(folder / BENTO_FILE), registered.tags[DIGEST_TAG]
    if found != expected:
        raise ValueError(
            f"{folder / BENTO_FILE} is damaged: sha256 {found}, expected {expected}; delete {folder} and start again"
        )
    return folder / BENTO_FILE


def find_challenger(cache_dir: Path) -> Path | None:
    """Return the folder of the bento of the registry's challenger, `None` where there is none.

    Raises:
        ValueError: when it is the champion itself, or damaged.
        TrackingError: when the registry cannot be used.
    """
    challenger, champion = read_challenger(), read_champion()
    if challenger is None:
        return None
    if champion is not None and challenger.version == champion.version:
        raise ValueError(f"version {challenger.version} is the champion itself; give the alias to another version")
    return find_bento(unpack_bento(_fetch(challenger, cache_dir), cache_dir))


def choose_challenger(cache_dir: Path, *, mode: str, share: float) -> dict[str, str]:
    """Return the variables that let the registry's challenger be tried, none where that cannot be: the champion is served."""
    try:
        folder = find_challenger(cache_dir)
        reason = "there is none; run: python -m flows.challenger"
    except (ValueError, OSError) as error:
        folder, reason = None, str(error)
    if folder is None:
        print(f"the champion is served without a challenger: {reason}", file=sys.stderr, flush=True)
        return {}
    print(f"beside it: {folder.parent.name}:{folder.name} ({mode})", flush=True)
    return {
        "CUEPOINT_CHALLENGER": str(folder),
        "CUEPOINT_CHALLENGER_MODE": mode,
        "CUEPOINT_CHALLENGER_SHARE": str(share),
    }


def unpack_bento(archive: Path, cache_dir: Path) -> Path:
    """Import an archive into a `BENTOML_HOME` of its own, once for the same bytes, and return that home.

    Raises:
        ValueError: with BentoML's words, when it refuses the archive.
    """
    home = cache_dir / "bentoml" / sha256_file(archive)[:16]
    if not home.is_dir():
        unfinished = home.with_suffix(".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        command = [sys.executable, "-m", "bentoml", "import", str(archive.resolve())]
        environment = {**os.environ, "BENTOML_HOME": str(unfinished)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ValueError(f"{archive} cannot be imported: {(done.stdout + done.stderr).strip()[-500:]}")
        unfinished.rename(home)
    return home


def find_bento(home: Path) -> Path:
    """Return the folder of the one bento of a home."""
    (folder,) = (path.parent for path in home.glob("bentos/*/*/bento.yaml"))
    return folder


def build_environment(home: Path, index_dir: Path | None) -> dict[str, str]:
    """Return the environment of the server: its home, its state, and the videos of the corpus that the bento names.

    An index of a folder takes the place of the bento's; it names its videos itself.

    Raises:
        ValueError: when the index was made by another bundle than the one that is served.
    """
    state = os.environ.get("CUEPOINT_STATE") or str(paths.SERVICE.resolve())  # not in the bento: it outlives it
    environment = {**os.environ, "BENTOML_HOME": str(home), "CUEPOINT_STATE": state}
    data = find_bento(home) / "src" / "data"
    if index_dir is not None:
        _require_made_by(index_dir, data / "bundle")
        return {**environment, "CUEPOINT_INDEX": str(index_dir.absolute())}
    corpus = read_json(data / "index" / "index.json")["corpus"]
    media = os.environ.get("CUEPOINT_MEDIA_ROOT") or str((paths.RAW / corpus).resolve())
    return {**environment, "CUEPOINT_MEDIA_ROOT": media}


def _require_made_by(index_dir: Path, bundle_dir: Path) -> None:
    index = read_index(index_dir)
    if index["bundle_version"] != load_bundle(bundle_dir).version:
        remedy = f"{name_remedy(index_dir, index)} --bundle {shlex.quote(str(bundle_dir))}"
        raise ValueError(f"{index_dir} was made by another bundle than the one that is served; run: {remedy}")


def main() -> None:
    """Become the server."""
    parser = argparse.ArgumentParser(prog="python -m flows.serve", description=__doc__)
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--index", type=Path, default=os.environ.get("CUEPOINT_INDEX"), help="an index of a folder of videos")
    parser.add_argument("--challenger", choices=("share", "shadow"), help="try the registry's challenger beside the champion")
    parser.add_argument("--share", type=float, default=0.1, help="of the clients that the challenger answers (default: 0.1)")
    options = parser.parse_args()
    if options.challenger and options.index:
        raise ValueError("--challenger does not go with --index: its bento holds an index of its corpus alone")
    cache_dir = paths.find_cache_dir()
    chosen = choose_bento(cache_dir)
    home = unpack_bento(chosen.path, cache_dir)
    folder = find_bento(home)
    print(f"serving {chosen.origin}: {folder.parent.name}:{folder.name} on http://127.0.0.1:{options.port}", flush=True)
    command = [sys.executable, "-m", "bentoml", "serve", f"{folder.parent.name}:{folder.name}", "--host", "127.0.0.1"]
    environment = build_environment(home, options.index)
    if options.challenger:
        environment |= choose_challenger(cache_dir, mode=options.challenger, share=options.share)
    os.execve(sys.executable, [*command, "--port", str(options.port)], environment)


if __name__ == "__main__":
    run_main(main, name="serve")
