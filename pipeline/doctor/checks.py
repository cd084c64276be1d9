"""All checks for leftovers on this machine, in the order in which their repairs must run."""

from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.doctor.files import find_killed_stages, find_unfinished_files
from pipeline.doctor.findings import Finding
from pipeline.doctor.processes import find_orphans
from pipeline.dvc.repair import find_damage, find_live_dvc
from pipeline.tracking.server import find_stale_runs, find_tracking_uri, reap_stale_runs

_SQLITE = "sqlite:///"
Check = Callable[[Path], Iterator[Finding]]


class NotCheckedError(ValueError):
    """A check is impossible now, for the reason in the message."""


def find_dvc_damage(root: Path) -> Iterator[Finding]:
    """Yield stale locks and truncated files of DVC.

    Raises:
        NotCheckedError: while another DVC runs, which writes these files.
    """
    process = find_live_dvc(root)
    if process is not None:
        raise NotCheckedError(f"DVC is running in process {process}; run the check again when it has ended")
    for damage in find_damage(root):
        yield Finding(damage.what, damage.mend)


def find_abandoned_runs(_: Path) -> Iterator[Finding]:
    """Yield the runs that MLflow shows as running though their process on this machine has ended."""
    uri = find_tracking_uri()
    if uri.startswith(_SQLITE) and not Path(uri.removeprefix(_SQLITE)).is_file():  # asking would create it
        return
    stale = find_stale_runs()
    if stale:
        runs = f"MLflow shows {', '.join(stale)} as RUNNING, but the process of each has ended"
        yield Finding(runs, lambda: f"marked {len(reap_stale_runs())} MLflow runs as KILLED")


CHECKS: dict[str, Check] = {
    "processes": find_orphans,
    "DVC": find_dvc_damage,
    "stages": find_killed_stages,
    "files": find_unfinished_files,
    "MLflow": find_abandoned_runs,
}
