"""Code identity of the pipeline: the code of each stage and role, as files that DVC watches and as cache keys."""

from pipeline.identity.closures import NEUTRAL, Run, find_code, find_run, find_run_closure, hash_code, list_runs
from pipeline.identity.files import require_recorded, write_identities

__all__ = [
    "NEUTRAL",
    "Run",
    "find_code",
    "find_run",
    "find_run_closure",
    "hash_code",
    "list_runs",
    "require_recorded",
    "write_identities",
]
