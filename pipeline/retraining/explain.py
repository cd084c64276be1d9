"""The explanation of a registered version: where each of its bytes came from, who promoted it and why, and how to rebuild it."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from corpus.files import read_json, sha256_file
from pipeline.lineage import LOCK, read_lock
from pipeline.tracking.champion import CHANGES_FILE, INPUTS_TAG, LOCK_TAG, METRICS
from pipeline.tracking.promotions import NOT_SERVED_TAG, WITHDRAWN_TAG, fetch_file, read_moves, read_version
from pipeline.tracking.server import DIGEST_TAG, RegisteredVersion

_RUN = ".run_id"
_GATE_RUN = "cuepoint.gate.run_id"


def explain(version: str) -> str:
    """Return the explanation of a version, or of `champion`.

    Raises:
        ValueError: when there is no champion.
        TrackingError: when the registry cannot be used, or has no such version.
    """
    found = read_version(version)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lock, metrics, changes = (fetch_file(found.version, part, folder) for part in (LOCK.name, METRICS.name, CHANGES_FILE))
        lines = [
            *_describe_version(found),
            *_describe_code(found.tags, changes),
            *_describe_stages({} if lock is None else read_lock(lock.parent)),
            *_describe_figures(metrics),
        ]
    return "\n".join([*lines, "", "rebuild it:", f"  {rebuild_command(found.version)}"])


def rebuild_command(version: str) -> str:
    """Return the command that rebuilds a version from its inputs."""
    return f"cuepoint rebuild {version} ../cuepoint-version-{version}"


def _describe_version(found: RegisteredVersion) -> Iterator[str]:
    tags = found.tags
    yield f"version {found.version}, bento sha256 {tags.get(DIGEST_TAG, 'unknown')}"
    for move in read_moves():
        if found.version in (move.version, move.previous):
            yield f"  {move.time} {move.kind}: {move.previous or 'none'} -> {move.version} by {move.who}: {move.why}"
    if tags.get("cuepoint.gate.reason"):
        yield f"  gate: {tags['cuepoint.gate.outcome']}: {tags['cuepoint.gate.reason']}"
        yield f"  run of the gate: {tags.get(_GATE_RUN, 'unknown')}"
    if tags.get(WITHDRAWN_TAG):
        yield f"  withdrawn: {tags[WITHDRAWN_TAG]}"
    if tags.get(NOT_SERVED_TAG):
        yield f"  refused by a running service: {tags[NOT_SERVED_TAG]}"


def _describe_code(tags: Mapping[str, str], changes: Path | None) -> Iterator[str]:
    yield ""
    yield f"code: commit {tags.get('git.commit', 'unknown, the checkout was no git repository')}"
    if changes:
        yield f"  and {CHANGES_FILE} of the version, sha256 {sha256_file(changes)}"
    yield f"inputs sha256 {tags.get(INPUTS_TAG, 'unknown')}"
    yield f"{LOCK} sha256 {tags.get(LOCK_TAG, 'unknown')}; sealed {tags.get('cuepoint.sealed', 'never')}"
    for key in sorted(tags):
        if key.endswith(_RUN) and key != _GATE_RUN:
            yield f"training run of the {key.removesuffix(_RUN)}: {tags[key]}"


def _describe_stages(lock: Mapping[str, Any]) -> Iterator[str]:
    """Describe each stage of a lock: command, inputs and outputs with their hashes, values."""
    yield ""
    yield "stages:"
    for name, stage in lock.get("stages", {}).items():
        yield f"  {name}: {stage['cmd']}"
        for part, arrow in (("deps", "<-"), ("outs", "->")):
            for one in stage.get(part, []):
                yield f"    {arrow} {one['path']} {one.get('hash', 'md5')} {one.get('md5', 'not hashed')}"
        for file, values in stage.get("params", {}).items():
            yield f"    values of {file}: {', '.join(values) if values else 'none'}"


def _describe_figures(metrics: Path | None) -> Iterator[str]:
    if metrics is None:
        return
    yield ""
    yield "figures:"
    for split, group in read_json(metrics).items():
        figures = group.get("localizer", {})
        if figures:
            shown = (f"{name} {figures[name]:.4f}" for name in ("R1_iou0.5", "mIoU") if name in figures)
            yield f"  {split}: {', '.join(shown)}"
