"""The explanation of a registered version."""

from collections.abc import Callable
from pathlib import Path

import pytest

from corpus.files import sha256_file, write_bytes
from pipeline.retraining.explain import explain
from pipeline.tracking.champion import challenge_champion
from pipeline.tracking.promotions import NOT_SERVED_TAG, tag_version

LOCK = b"""schema: '2.0'
stages:
  ingest:
    cmd: python -m stages.ingest
    deps: [{path: data/raw/shapes, hash: md5, md5: abc.dir}]
    params: {params.yaml: {ingest.seed: 2026}}
    outs: [{path: data/corpus, hash: md5, md5: def.dir}]
"""


@pytest.mark.slow
def test_every_byte_of_the_champion_is_traced_to_its_inputs_and_the_command_that_rebuilds_it(
    finished_pipeline: Path, finish: Callable[..., None]
) -> None:
    with pytest.raises(ValueError, match="no champion; to train and promote one, run: cuepoint retrain"):
        explain("champion")
    write_bytes(Path("dvc.lock"), LOCK)
    finish(b"bento", recall=0.5)
    challenge_champion()
    told = explain("champion")
    assert told == explain("1")
    assert f"version 1, bento sha256 {sha256_file(Path('data/bento/cuepoint.bento'))}" in told
    assert "promote: none -> 1 by " in told
    assert f"dvc.lock sha256 {sha256_file(Path('dvc.lock'))}; sealed never" in told
    stage = "  ingest: python -m stages.ingest\n    <- data/raw/shapes md5 abc.dir\n    -> data/corpus md5 def.dir\n"
    assert f"{stage}    values of params.yaml: ingest.seed\n" in told
    assert "  val: R1_iou0.5 0.5000, mIoU 0.4000" in told
    assert told.endswith("rebuild it:\n  cuepoint rebuild 1 ../cuepoint-version-1")
    tag_version("1", {NOT_SERVED_TAG: "2026-01-02T03:04:05Z it did not become ready"})
    tag_version("1", {"cuepoint.gate.outcome": "promoted", "cuepoint.gate.reason": "better", "cuepoint.gate.run_id": "abc"})
    told = explain("1")
    assert "\n  gate: promoted: better\n  run of the gate: abc\n" in told
    assert "cuepoint.gate" not in told
    assert "\n  refused by a running service: 2026-01-02T03:04:05Z it did not become ready\n" in explain("1")
