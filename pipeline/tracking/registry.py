"""Registry lookups for serving: the versions that the registry's aliases name.

A registry in a local SQLite file is read without MLflow, whose import and store took half of the time until a service began
to load. MLflow (`pipeline.tracking.server`) reads other layouts of the file and other kinds of registries.
"""

import sqlite3
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from pipeline.tracking import server as tracking
from pipeline.tracking.server import CHALLENGER, CHAMPION, DIGEST_TAG, MODEL

_SQLITE = "sqlite:///"
_QUERY = """
    SELECT alias.version, tag.value FROM registered_model_aliases AS alias
    LEFT JOIN model_version_tags AS tag
    ON tag.workspace = alias.workspace AND tag.name = alias.name AND tag.version = alias.version AND tag.key = ?
    WHERE alias.workspace = 'default' AND alias.name = ? AND alias.alias = ?
"""


class ServedVersion(NamedTuple):
    """A version of the registered model and the sha256 of its bento."""

    version: str
    digest: str


def find_champion() -> ServedVersion | None:
    """Return the version with the alias `champion`, `None` when there is none yet.

    Raises:
        TrackingError: when the registry cannot be used.
        ValueError: when the version does not name its bento.
    """
    return _find(CHAMPION)


def find_challenger() -> ServedVersion | None:
    """Return the version with the alias `challenger`, `None` when there is none.

    Raises:
        TrackingError: when the registry cannot be used.
        ValueError: when the version does not name its bento.
    """
    return _find(CHALLENGER)


def _find(alias: str) -> ServedVersion | None:
    uri = tracking.find_tracking_uri()
    path = Path(uri.removeprefix(_SQLITE))
    if uri.startswith(_SQLITE) and not path.exists():
        return None
    try:
        return _read_file(path, alias) if uri.startswith(_SQLITE) else _ask_mlflow(alias)
    except sqlite3.Error:  # another layout, or not a database: MLflow reads it or reports the error
        return _ask_mlflow(alias)


def _read_file(path: Path, alias: str) -> ServedVersion | None:
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
    try:
        found = connection.execute(_QUERY, (DIGEST_TAG, MODEL, alias)).fetchone()
    finally:
        connection.close()
    return _require_digest(str(found[0]), found[1]) if found else None


def _ask_mlflow(alias: str) -> ServedVersion | None:
    found = tracking.read_champion() if alias == CHAMPION else tracking.read_challenger()
    return _require_digest(found.version, found.tags.get(DIGEST_TAG)) if found else None


def _require_digest(version: str, digest: str | None) -> ServedVersion:
    if not digest:
        raise ValueError(f"version {version} of the model {MODEL!r} has no tag {DIGEST_TAG}; move the alias to another version")
    return ServedVersion(version, digest)
