"""The record of code identity in `data/identity/`: one file for each stage and role, which DVC watches."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpus.files import read_json, write_json
from pipeline.identity.chosen import list_stream_values
from pipeline.identity.closures import Run, find_run_closure, list_runs

_SHOWN_FILES = 5


def write_identities(folder: Path, params: Mapping[str, Any]) -> int:
    """Write the code of every stage and role below a folder and return their number."""
    runs = list(list_runs(params))
    for run in runs:
        write_json(_find_record(folder, run), _describe(run, params))
    return len(runs)


def require_recorded(run: Run, folder: Path, params: Mapping[str, Any]) -> None:
    """Refuse to run a stage whose code differs from the record; DVC would attribute its results to the recorded code.

    Raises:
        FileNotFoundError: when there is no record.
        ValueError: naming the files that differ, and the remedy.
    """
    path = _find_record(folder, run)
    remedy = f"run: dvc repro identity, then dvc repro {run.dvc_name}"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing, so there is no record of the code of {run.dvc_name}; {remedy}")
    recorded, found = read_json(path), _describe(run, params)
    if recorded != found:
        raise ValueError(f"the code of {run.dvc_name} differs from the record {path}: {_compare(recorded, found)}; {remedy}")


def _find_record(folder: Path, run: Run) -> Path:
    return folder / run.stage / f"{run.role}.json" if run.role else folder / f"{run.stage}.json"


def _describe(run: Run, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the code of a run, and the values of the encoders' presets by stream, which DVC watches here."""
    closure, streams = find_run_closure(run, params), list_stream_values(run.stage, params)
    return {"hash": closure.hash, "files": dict(closure.files)} | ({"streams": streams} if streams else {})


def _compare(recorded: Any, found: Mapping[str, Any]) -> str:
    """Return a description of the files that differ."""
    before = recorded.get("files", {}) if isinstance(recorded, dict) else {}
    after = found["files"]
    changes = [
        *(f"{path} changed" for path in after if path in before and before[path] != after[path]),
        *(f"{path} is new" for path in after if path not in before),
        *(f"{path} was removed" for path in before if path not in after),
        *(["the presets of the encoders changed"] if _find_streams(recorded) != _find_streams(found) else []),
    ]
    more = len(changes) - _SHOWN_FILES
    return ", ".join(changes[:_SHOWN_FILES] or ["the record is damaged"]) + (f" and {more} more" if more > 0 else "")


def _find_streams(record: Any) -> Any:
    return record.get("streams") if isinstance(record, dict) else None
