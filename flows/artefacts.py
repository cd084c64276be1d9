"""Artefacts of a flow run on Prefect's page: progress, a table of the stages, and links to run, report and Data Docs.

Outside a flow run there is nothing to show them on. A server that refuses an artefact never stops the flow.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException

from pipeline import paths
from pipeline.launch.runs_page import find_page_address
from pipeline.tracking.server import TrackingError, find_pipeline_run

WAITING, RUNNING, DONE, UNCHANGED, FAILED = "waiting", "running", "done", "unchanged", "failed"
DATA_DOCS = paths.REPORTS / "data_docs" / "index.html"
REPORT = paths.REPORTS / "evaluation" / "index.html"
_LOCK = Path("dvc.lock")
_COMPLETE = 100.0  # percent
_MINUTE_S = 60
_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class StageTable:
    """Progress and table of the stages of one flow run, updated at the start and the end of each stage."""

    def __init__(self, stages: Sequence[str]) -> None:
        """Create both artefacts; every stage waits."""
        self._rows: dict[str, dict[str, Any]] = {
            stage: {"stage": stage, "state": WAITING, "started": "", "time": ""} for stage in stages
        }
        self._progress = _show(lambda: create_progress_artifact(0.0, key="progress", description="Share of ended stages"))
        self._table = _show(
            lambda: create_table_artifact(self._list_rows(), key="stages", description="Stages of the pipeline, in order")
        )

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Show the stage as running during the block, then as done, unchanged (the lock is the same) or failed."""
        row, started_s, lock = self._rows[name], time.monotonic(), _read_lock()
        row |= {"state": RUNNING, "started": time.strftime("%Y-%m-%d %H:%M:%S")}
        self._update()
        state = FAILED
        try:
            yield
            state = UNCHANGED if _read_lock() == lock else DONE
        finally:
            row |= {"state": state, "time": describe_duration(time.monotonic() - started_s)}
            self._update()

    def _list_rows(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self._rows.values()]

    def _update(self) -> None:
        ended = sum(row["state"] in (DONE, UNCHANGED) for row in self._rows.values())
        if self._progress is not None:
            progress = self._progress
            _show(lambda: update_progress_artifact(progress, _COMPLETE * ended / len(self._rows)))
        if self._table is not None:
            table = self._table
            _show(lambda: _replace_data(table, json.dumps(self._list_rows())))


def show_results() -> None:
    """Show the links to the MLflow run of this pipeline run, to the report and to the Data Docs."""
    _show(lambda: create_markdown_artifact(describe_results(), key="results", description="Where the results are"))


def describe_results() -> str:
    """Return a Markdown table with the address of each page; a page that does not exist is left out, with the reason."""
    rows = [_describe_run(), _describe_file("report", REPORT), _describe_file("Data Docs", DATA_DOCS)]
    return "\n".join(["| page | address |", "|---|---|", *rows])


def describe_duration(seconds: float) -> str:
    """Return a duration as `4.2 s`, or from a minute on as `3 min 20 s`."""
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    minutes, rest_s = divmod(round(seconds), _MINUTE_S)
    return f"{minutes} min {rest_s} s"


def _describe_run() -> str:
    try:
        run = find_pipeline_run()
    except TrackingError as error:
        return f"| MLflow run | {error} |"
    if run is None:
        return "| MLflow run | none: DVC took every result from its cache |"
    page = f"{find_page_address()}/#/experiments/{run.experiment_id}/runs/{run.run_id}"
    return f"| MLflow run | [{page}]({page}); start the page with `cuepoint ui` |"


def _describe_file(name: str, path: Path) -> str:
    if not path.is_file():
        return f"| {name} | {path} does not exist |"
    address = path.resolve().as_uri()  # browsers open it when it is typed, not when it is clicked
    return f"| {name} | [{address}]({address}) |"


def _replace_data(artefact_id: UUID, data: str) -> None:
    with get_client(sync_client=True) as client:
        client.update_artifact(artefact_id, ArtifactUpdate(data=data))


def _show(action: Callable[[], _T]) -> _T | None:
    """Call `action` within a flow run and return its result; None outside of one, or with a warning when the server refuses."""
    if FlowRunContext.get() is None:
        return None
    try:
        return action()
    except (httpx.HTTPError, PrefectException, OSError) as error:
        _log.warning("Prefect does not show an artefact of this run: %s", error or type(error).__name__)
        return None


def _read_lock() -> bytes:
    return _LOCK.read_bytes() if _LOCK.is_file() else b""
