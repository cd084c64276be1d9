"""Moves of the alias `champion`: each is recorded with who and why before the alias moves, which happens last.

The records are tags of the registered model, numbered in their order. A record without its move is left by a kill; the same
move is then finished under the same record.
"""

import getpass
import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from pipeline.executors.process import hold_lock
from pipeline.paths import find_cache_dir
from pipeline.tracking import server as tracking
from pipeline.tracking.server import CHAMPION, DIGEST_TAG, MODEL, RegisteredVersion
from pipeline.tracking.version_page import explain_decision

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MOVE = "cuepoint.move."
WITHDRAWN_TAG = "cuepoint.withdrawn"
NOT_SERVED_TAG = "cuepoint.not_served"  # the reason of a running service that refused the version
_MAX_WHY = 2000
_WAIT_S = 60.0


class Move(NamedTuple):
    """One move of the alias."""

    number: int
    kind: Literal["promote", "rollback"]
    version: str
    previous: str | None
    who: str
    why: str
    time: str  # ISO 8601, UTC


def describe_user() -> str:
    """Return the user and the machine of this process."""
    return f"{getpass.getuser()}@{platform.node()}"


def read_moves() -> list[Move]:
    """Return all recorded moves, oldest first.

    Raises:
        TrackingError: when the registry cannot be used.
    """
    with tracking.open_client() as client:
        return _read_moves(client)


def promote(version: str, *, who: str, why: str) -> Move | None:
    """Make a version the champion; None if it already is.

    Raises:
        TrackingError: when the registry cannot be used, or has no such version; the alias does not move.
    """
    with _open_for_moves() as client:
        if _find_champion(client) == version:
            return None
        return _move(client, "promote", version, who=who, why=why)


def roll_back(*, who: str, why: str, to: str | None = None) -> Move:
    """Make the version that was champion before the present one the champion again, or the version `to`.

    The present champion is marked as withdrawn, so that no later run promotes the same bytes again.

    Raises:
        ValueError: when there is no champion, or none before it.
        TrackingError: when the registry cannot be used, or has no such version; the alias does not move.
    """
    with _open_for_moves() as client:
        present = _find_champion(client)
        if present is None:
            raise ValueError("the registry has no champion; to train and promote one, run: cuepoint retrain")
        target = to or _find_previous(_read_moves(client), present)
        if target == present:
            raise ValueError(f"version {present} is the champion already; name another version, or leave out --to")
        client.get_model_version(MODEL, target)
        client.set_model_version_tag(MODEL, present, WITHDRAWN_TAG, why[:_MAX_WHY])
        client.delete_model_version_tag(MODEL, target, WITHDRAWN_TAG)
        return _move(client, "rollback", target, who=who, why=why)


def find_version(digest: str) -> RegisteredVersion | None:
    """Return the version whose bento has this sha256, None if it is not registered.

    Raises:
        TrackingError: when the registry cannot be used.
    """
    with tracking.open_client() as client:
        found = client.search_model_versions(f"name = '{MODEL}' and tags.`{DIGEST_TAG}` = '{digest}'")
        return RegisteredVersion(str(found[0].version), {}, dict(found[0].tags)) if found else None


def read_version(version: str) -> RegisteredVersion:
    """Return a version with its tags and metrics; `champion` names the champion.

    Raises:
        ValueError: when there is no champion.
        TrackingError: when the registry cannot be used, or has no such version.
    """
    with tracking.open_client() as client:
        number = _find_champion(client) if version == CHAMPION else version
        if number is None:
            raise ValueError("the registry has no champion; to train and promote one, run: cuepoint retrain")
        found = client.get_model_version(MODEL, number)
        run = client.get_run(found.run_id)
        return RegisteredVersion(str(found.version), dict(run.data.metrics), dict(found.tags))


def tag_version(version: str, tags: Mapping[str, str]) -> None:
    """Set tags of a version.

    Raises:
        TrackingError: when the registry cannot be used, or has no such version.
    """
    with tracking.open_client() as client:
        for key, value in tags.items():
            client.set_model_version_tag(MODEL, version, key, value)


def explain_rejection(version: str, *, who: str, why: str) -> None:
    """Write on the page of a version that it was rejected, and why.

    Raises:
        TrackingError: when the registry cannot be used, or has no such version.
    """
    with tracking.open_client() as client:
        explain_decision(client, MODEL, version, "rejected", who=who, why=why[:_MAX_WHY])


def fetch_file(version: str, name: str, folder: Path) -> Path | None:
    """Download one file of a version into a folder and return its path, None if the version does not have it.

    Raises:
        TrackingError: when the registry cannot be used, or has no such version.
    """
    with tracking.open_client() as client:
        from mlflow.environment_variables import MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR

        MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(False)  # the files are small
        run_id = client.get_model_version(MODEL, version).run_id
        path = f"{tracking.BUNDLE_DIR}/{name}"
        if path not in {file.path for file in client.list_artifacts(run_id, tracking.BUNDLE_DIR)}:
            return None
        return Path(client.download_artifacts(run_id, path, str(folder)))


def tag_runs(run_ids: Mapping[str, str], tags: Mapping[str, str]) -> list[str]:
    """Set tags of runs, by role, and return the roles whose run this server does not have.

    DVC restores outputs that were trained elsewhere, and their runs stay on the server of that training.

    Raises:
        TrackingError: when the server cannot be used.
    """
    if not run_ids:
        return []
    with tracking.open_client() as client:
        known = [role for role, run_id in run_ids.items() if _is_active(client, run_id)]
        for role in known:
            for key, value in tags.items():
                client.set_tag(run_ids[role], key, value)
    return sorted(run_ids.keys() - set(known))


def _is_active(client: "MlflowClient", run_id: str) -> bool:
    """Tell whether the server has a run, and nobody deleted it."""
    from mlflow.exceptions import MlflowException

    try:
        return str(client.get_run(run_id).info.lifecycle_stage) == "active"
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise


@contextmanager
def _open_for_moves() -> Iterator["MlflowClient"]:
    """Yield a client while no other process of this machine moves the alias."""
    lock = find_cache_dir() / "locks" / "champion.lock"
    with hold_lock(lock, what="a move of the champion", wait_s=_WAIT_S), tracking.open_client() as client:
        yield client


def _find_champion(client: "MlflowClient") -> str | None:
    models = client.search_registered_models(f"name = '{MODEL}'")
    version = models[0].aliases.get(CHAMPION) if models else None
    return None if version is None else str(version)


def _read_moves(client: "MlflowClient") -> list[Move]:
    models = client.search_registered_models(f"name = '{MODEL}'")
    tags = models[0].tags if models else {}
    return [Move(**json.loads(tags[key])) for key in sorted(tags) if key.startswith(_MOVE)]


def _find_previous(moves: list[Move], present: str) -> str:
    """Return the champion before the promotion of the present one."""
    for move in reversed(moves):
        if move.kind == "promote" and move.version == present:
            if move.previous is not None:
                return move.previous
            break
    raise ValueError(f"version {present} has no recorded predecessor; name the version to serve: cuepoint rollback --to VERSION")


def _move(client: "MlflowClient", kind: Literal["promote", "rollback"], version: str, *, who: str, why: str) -> Move:
    """Record a move, then move the alias. A record that a kill left without its move is used again."""
    previous, moves = _find_champion(client), _read_moves(client)
    number = len(moves) + 1
    if moves and moves[-1].version != previous and (moves[-1].kind, moves[-1].version) == (kind, version):
        number = moves[-1].number
    time = datetime.now(UTC).isoformat(timespec="seconds")
    move = Move(number, kind, version, previous, who, why[:_MAX_WHY], time)
    client.set_registered_model_tag(MODEL, f"{_MOVE}{number:06d}", json.dumps(move._asdict()))
    explain_decision(client, MODEL, version, "promoted", who=who, why=move.why)
    client.set_registered_model_alias(MODEL, CHAMPION, version)
    return move
