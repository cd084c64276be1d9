"""The checks of `cuepoint status`: each inspects one piece, changes nothing, and needs no optional package."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cuepoint.places import PlaceError, describe_missing_media, find_media_dir, read_index_file
from cuepoint.running import has_package

OK, STALE, MISSING, UNKNOWN, BAD = "ok", "stale", "missing", "unknown", "bad"
_CORPUS, _VERSION_LENGTH = Path("data/corpus"), 12
_DVC_LIMIT_S, _SERVICE_LIMIT_S = 300, 3
_SQLITE = "sqlite:///"


class Check(NamedTuple):
    """The state of one piece: ok, stale, missing, bad or unknown; `detail` adds figures, or the command to run."""

    state: str
    detail: str


def check_all(*, bundle_dir: Path, index_dir: Path, media: str | None, port: int) -> dict[str, Check]:
    """Return the result of every check by its name. A failing check does not stop the others."""
    checks: dict[str, Callable[[], Check]] = {
        "corpus": check_corpus,
        "pipeline": check_pipeline,
        "bundle": lambda: check_bundle(bundle_dir),
        "index": lambda: check_index(index_dir, bundle_dir),
        "videos": lambda: check_videos(index_dir, Path(media) if media else None),
        "champion": check_champion,
        "service": lambda: check_service(port),
    }
    return {name: _run(check) for name, check in checks.items()}


def _run(check: Callable[[], Check]) -> Check:
    from pipeline.entry import describe_error

    try:
        return check()
    except FileNotFoundError as error:
        return Check(MISSING, str(error))
    except Exception as error:
        return Check(BAD, describe_error(error) or f"{type(error).__name__}: {error}")


def check_corpus() -> Check:
    """Count the videos and sentences of the corpus, and those in quarantine."""
    path = _CORPUS / "summary.json"
    if not path.is_file():
        return Check(MISSING, "no corpus has been ingested here; run: cuepoint repro")
    summary = json.loads(path.read_text(encoding="utf-8"))
    videos, queries = (sum(split[name] for split in summary["splits"].values()) for name in ("videos", "queries"))
    return Check(OK, f"{summary['corpus']}: {videos} videos, {queries} sentences, {len(summary['quarantined'])} in quarantine")


def check_pipeline() -> Check:
    """Ask DVC which stages are stale."""
    if not Path("dvc.yaml").is_file():
        return Check(MISSING, "this folder is not a checkout (it has no dvc.yaml); run the command in a checkout")
    if not has_package("dvc"):
        return Check(UNKNOWN, "DVC is not installed; run: pip install 'cuepoint[train]'")
    command = [sys.executable, "-m", "dvc", "status", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_DVC_LIMIT_S, stdin=subprocess.DEVNULL)
    if done.returncode:
        return Check(UNKNOWN, describe_dvc_failure(done.stderr))
    stale = list(json.loads(done.stdout or "{}"))
    if not stale:
        return Check(OK, "every stage is up to date")
    return Check(STALE, f"{', '.join(stale)}; run: cuepoint repro")


def describe_dvc_failure(errors: str) -> str:
    """Return the reason in the error output of `dvc status`: usually another running DVC command."""
    if process := re.search(r"is busy, it is being blocked by:\s*\(PID (\d+)\)", errors):
        return f"another DVC command is running (process {process[1]}); try again when it has ended"
    return f"dvc status failed: {_take_last_line(errors)}"


def _take_last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no error output"])[-1]


def check_bundle(bundle_dir: Path) -> Check:
    """Report the version and the size of the models."""
    manifest = _read_manifest(bundle_dir)
    size_bytes = sum(file["size_bytes"] for file in manifest["files"].values())
    absent = [name for name in manifest["files"] if not (bundle_dir / name).is_file()]
    if absent:
        return Check(BAD, f"{bundle_dir} lacks {', '.join(absent)}; run: cuepoint repro export")
    return Check(OK, f"{bundle_dir}, version {manifest['version'][:_VERSION_LENGTH]}, {size_bytes / 1e6:.1f} MB")


def _read_manifest(bundle_dir: Path) -> Mapping[str, Any]:
    path = bundle_dir / "manifest.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{bundle_dir} holds no finished bundle; run: cuepoint models fetch real, or cuepoint repro to train one, "
            "or name one with --bundle"
        )
    manifest: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return manifest


def check_index(index_dir: Path, bundle_dir: Path) -> Check:
    """Count the videos and clips of the index, and compare its bundle with the current one."""
    from search.collection import name_remedy

    index = _read_index(index_dir)
    detail = f"{index_dir}, {index['num_videos']} videos, {index['num_clips']} clips"
    if not (bundle_dir / "manifest.json").is_file():
        return Check(UNKNOWN, f"{detail}; no bundle to search it with; run: cuepoint repro export")
    if index["bundle_version"] != _read_manifest(bundle_dir)["version"]:
        return Check(STALE, f"{detail}; made by other models than {bundle_dir}; run: {name_remedy(index_dir, index, bundle_dir)}")
    return Check(OK, detail)


def check_videos(index_dir: Path, media: Path | None) -> Check:
    """Look for the folder with the videos of the index."""
    index = _read_index(index_dir)
    indexed = Path(index["media_dir"]) if index["media_dir"] else None
    media_dir = find_media_dir(media, indexed=indexed, corpus=index["corpus"])
    missing = describe_missing_media(media_dir, index_dir, is_folder=indexed is not None)
    return Check(MISSING, missing) if missing else Check(OK, str(media_dir))


def _read_index(index_dir: Path) -> dict[str, Any]:
    try:
        return read_index_file(index_dir)
    except PlaceError as error:
        raise FileNotFoundError(str(error)) from error


def check_champion() -> Check:
    """Ask the registry for the champion, without creating a registry."""
    from pipeline.tracking.server import find_tracking_uri, read_champion

    uri = find_tracking_uri()
    if uri.startswith(_SQLITE) and not Path(uri.removeprefix(_SQLITE)).is_file():
        return Check(MISSING, "no registry here yet: no run has been tracked and no bundle registered; run: cuepoint repro")
    if not has_package("mlflow"):
        return Check(UNKNOWN, "MLflow is not installed; run: pip install 'cuepoint[train]'")
    champion = read_champion()
    if champion is None:
        return Check(MISSING, f"none in {uri}; cuepoint serve uses the checkout's bento")
    return Check(OK, f"version {champion.version} in {uri}")


def check_service(port: int) -> Check:
    """Ask the service on this machine whether it is ready."""
    from http.client import HTTPConnection, HTTPException

    address = f"http://127.0.0.1:{port}"
    connection = HTTPConnection("127.0.0.1", port, timeout=_SERVICE_LIMIT_S)
    try:
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
    except ConnectionRefusedError:
        return Check(MISSING, f"nothing answers on {address}; run: cuepoint serve")
    except (OSError, HTTPException) as error:
        return Check(UNKNOWN, f"{address} does not answer: {error}")
    finally:
        connection.close()
    return _judge_service(address, status)


def _judge_service(address: str, status: int) -> Check:
    match status:
        case 200:
            return Check(OK, f"ready on {address}")
        case 401:
            return Check(OK, f"answers on {address}, protected by its token")
        case 503:
            return Check(UNKNOWN, f"{address} is starting, or cannot load its models; see its log")
    return Check(UNKNOWN, f"{address} answers with {status}, so it may be another program")
