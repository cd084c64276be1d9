"""`cuepoint serve`: serves the champion's bento, or the working tree's bento if there is no champion yet.

The champion's service is replaced, without an interruption, whenever the champion moves (`rollover`).
With --challenger, the registry's challenger runs beside the champion. Each step is printed before it starts.
"""

import argparse
import lzma
import math
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from corpus.files import read_json, sha256_file
from pipeline import paths
from pipeline.launch.ports import require_free_port
from pipeline.launch.service_process import PreparedBento
from pipeline.tracking.address import hide_password
from pipeline.tracking.champion import BENTO_FILE
from pipeline.tracking.registry import ServedVersion, find_challenger, find_champion
from pipeline.tracking.server import fetch_version, find_tracking_uri


class ChosenBento(NamedTuple):
    """The archive to serve, the sha256 of its bytes, its origin, and its version if it is the champion's."""

    path: Path
    digest: str
    origin: str
    champion: ServedVersion | None = None


def choose_bento(cache_dir: Path) -> ChosenBento:
    """Return the champion's archive, fetched once into `cache_dir`, or the working tree's archive.

    Raises:
        ValueError: when there is neither.
        TrackingError: when the registry cannot be used; only the registry knows whether there is a champion.
    """
    _tell(f"looking for the champion in the registry {hide_password(find_tracking_uri())}")
    champion = find_champion()
    if champion is not None:
        return ChosenBento(_fetch(champion, cache_dir), champion.digest, f"the champion, version {champion.version}", champion)
    path = paths.BENTO / BENTO_FILE
    if not path.is_file():
        raise ValueError(f"no bento to serve: the registry has no champion yet, and {path} is missing; run: make repro")
    return ChosenBento(path, sha256_file(path), "the working tree (there is no champion yet)")


def _fetch(served: ServedVersion, cache_dir: Path) -> Path:
    folder = cache_dir / "registered" / served.version
    if not folder.is_dir():
        _tell(f"fetching the bento of version {served.version}, once")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            fetch_version(served.version, Path(scratch)).rename(folder)
    found = sha256_file(folder / BENTO_FILE)
    if found != served.digest:
        raise ValueError(
            f"{folder / BENTO_FILE} is damaged: sha256 {found}, expected {served.digest}; delete {folder} and start again"
        )
    return folder / BENTO_FILE


def fetch_challenger(cache_dir: Path) -> Path | None:
    """Return the folder of the challenger's bento, `None` if the registry has no challenger.

    Raises:
        ValueError: when the challenger is the champion itself, or its bento is damaged.
        TrackingError: when the registry cannot be used.
    """
    challenger, champion = find_challenger(), find_champion()
    if challenger is None:
        return None
    if champion is not None and challenger.version == champion.version:
        raise ValueError(f"version {challenger.version} is the champion itself; move the alias to another version")
    return open_version(challenger, cache_dir)


def open_version(version: ServedVersion, cache_dir: Path) -> Path:
    """Return the folder of a version's bento, fetched and unpacked once.

    Raises:
        ValueError: when the bento is damaged.
        TrackingError: when the registry cannot be used.
    """
    return find_bento(unpack_bento(_fetch(version, cache_dir), cache_dir, digest=version.digest))


def choose_challenger(cache_dir: Path, *, mode: str, share: float) -> dict[str, str]:
    """Return the environment variables that run the registry's challenger, none if it is unavailable."""
    try:
        folder = fetch_challenger(cache_dir)
        reason = "the registry has none; run: cuepoint challenger"
    except (ValueError, OSError) as error:
        folder, reason = None, str(error)
    if folder is None:
        print(f"serving the champion without a challenger: {reason}", file=sys.stderr, flush=True)
        return {}
    _tell(f"challenger: {folder.parent.name}:{folder.name} ({mode})")
    return {
        "CUEPOINT_CHALLENGER": str(folder),
        "CUEPOINT_CHALLENGER_MODE": mode,
        "CUEPOINT_CHALLENGER_SHARE": str(share),
    }


def unpack_bento(archive: Path, cache_dir: Path, *, digest: str) -> Path:
    """Unpack an archive with this sha256 once into its own `BENTOML_HOME`, and return that home.

    `bentoml import` does the same in another process, which has to load BentoML first.

    Raises:
        ValueError: naming the archive, when it is not a bento.
    """
    home = cache_dir / "bentoml" / digest[:16]
    if not home.is_dir():
        _tell(f"unpacking {archive}, {describe_size(archive.stat().st_size)}, once")
        unfinished = home.with_suffix(".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        _extract(archive, unfinished)
        unfinished.rename(home)
    return home


def _extract(archive: Path, home: Path) -> None:
    """Extract an archive to BentoML's path for its name and version: `bentos/<name>/<version>`."""
    try:
        with tarfile.open(archive, "r:xz") as files:
            files.extractall(home / "unpacked", filter="data")
        info = yaml.safe_load((home / "unpacked" / "bento.yaml").read_text(encoding="utf-8"))
        target = home / "bentos" / info["name"] / info["version"]
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError, yaml.YAMLError, KeyError, TypeError) as error:
        shutil.rmtree(home, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError | tarfile.TarError | lzma.LZMAError):
            raise  # the disk is full or read-only
        raise ValueError(f"{archive} cannot be unpacked: it is not a bento ({error}); run: dvc repro --force package") from error
    target.parent.mkdir(parents=True)
    (home / "unpacked").rename(target)


def describe_size(num_bytes: int) -> str:
    """Return a size in megabytes as text."""
    return f"{num_bytes / 1e6:.1f} MB"


def find_bento(home: Path) -> Path:
    """Return the folder of the only bento of a home."""
    (folder,) = (path.parent for path in home.glob("bentos/*/*/bento.yaml"))
    return folder


def build_environment(home: Path, index_dir: Path | None) -> dict[str, str]:
    """Return the environment of the server: its home, its state, and the videos of the corpus that the bento names.

    An index of a folder replaces the bento's index and names its own videos.

    Raises:
        ValueError: when the index was made by another bundle than the served one.
    """
    state = os.environ.get("CUEPOINT_STATE") or str(paths.SERVICE.resolve())  # outside the bento, because it outlives it
    environment = {**os.environ, "BENTOML_HOME": str(home), "CUEPOINT_STATE": state}
    data = find_bento(home) / "src" / "data"
    if index_dir is not None:
        from search.kinds import require_made_by  # noqa: PLC0415 # loaded late, after the first printed step

        require_made_by(index_dir, data / "bundle")
        return {**environment, "CUEPOINT_INDEX": str(index_dir.absolute())}
    corpus = read_json(data / "index" / "index.json")["corpus"]
    media = os.environ.get("CUEPOINT_MEDIA_ROOT") or str((paths.RAW / corpus).resolve())
    return {**environment, "CUEPOINT_MEDIA_ROOT": media}


def main(arguments: Sequence[str]) -> None:
    """Serve until the process is ended; without a champion to follow, replace this process with the server."""
    options = _parse(arguments)
    if options.challenger and options.index:
        raise ValueError("--challenger and --index exclude each other: a challenger searches the index of its bento; omit one")
    every_s = _read_seconds("CUEPOINT_CHAMPION_EVERY_S", 5.0)
    limit_s = _read_seconds("CUEPOINT_READY_LIMIT_S", 600.0)
    require_free_port(options.port, variable="PORT")
    cache_dir = paths.find_cache_dir()
    chosen = choose_bento(cache_dir)
    home = unpack_bento(chosen.path, cache_dir, digest=chosen.digest)
    folder = find_bento(home)
    _tell(f"serving {chosen.origin}: {folder.parent.name}:{folder.name}")
    environment = _complete(build_environment(home, options.index), options, cache_dir)
    _tell(f"starting the server; it prints a line when it is ready on {environment['CUEPOINT_ADDRESS']}")
    if chosen.champion is not None and options.index is None and _may_follow():
        first = PreparedBento(chosen.champion, folder, environment)
        _follow_champion(first, options, cache_dir, every_s=every_s, ready_limit_s=limit_s)
        return
    command = [sys.executable, "-m", "bentoml", "serve", f"{folder.parent.name}:{folder.name}", "--host", "127.0.0.1"]
    os.execve(sys.executable, [*command, "--port", str(options.port)], environment)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cuepoint serve", description=__doc__)
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--index", type=Path, default=os.environ.get("CUEPOINT_INDEX"), help="folder of an index")
    parser.add_argument("--challenger", choices=("share", "shadow"), help="run the registry's challenger beside the champion")
    parser.add_argument("--share", type=float, default=0.1, help="share of clients that the challenger answers (default: 0.1)")
    return parser.parse_args(arguments)


def _read_seconds(name: str, default: float) -> float:
    text = os.environ.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ValueError(f"{name} = {text!r}: it must be a number of seconds above 0")
    return value


def _may_follow() -> bool:
    """Tell whether a second service may run beside the first one, and say why not."""
    if os.environ.get("CUEPOINT_MILVUS_COLLECTION"):
        _tell("a new champion needs a restart, because CUEPOINT_MILVUS_COLLECTION names one collection for all versions")
        return False
    return True


def _complete(environment: dict[str, str], options: argparse.Namespace, cache_dir: Path) -> dict[str, str]:
    """Add the address and the challenger to the environment of a server."""
    own = choose_challenger(cache_dir, mode=options.challenger, share=options.share) if options.challenger else {}
    return environment | own | {"CUEPOINT_ADDRESS": f"http://127.0.0.1:{options.port}"}


def _follow_champion(
    first: PreparedBento, options: argparse.Namespace, cache_dir: Path, *, every_s: float, ready_limit_s: float
) -> None:
    from pipeline.launch.champion_watch import ChampionWatch  # noqa: PLC0415 # loaded late, after the first printed step
    from pipeline.launch.rollover import Rollover  # noqa: PLC0415

    def prepare(version: ServedVersion) -> PreparedBento:
        home = unpack_bento(_fetch(version, cache_dir), cache_dir, digest=version.digest)
        return PreparedBento(version, find_bento(home), _complete(build_environment(home, None), options, cache_dir))

    watch = ChampionWatch(first.version, prepare, every_s=every_s)
    rollover = Rollover(options.port, watch.news, ready_limit_s=ready_limit_s)
    watch.start()
    rollover.run(first)


def _tell(step: str) -> None:
    print(step, flush=True)
