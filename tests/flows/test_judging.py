"""The judgement of a working tree with real bundles and a registry of its own: once, in order, and again after a kill."""

import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from corpus.files import write_bytes, write_json
from flows.retraining import judging
from flows.retraining.judging import compare_with_champion, judge_and_promote
from pipeline import paths
from pipeline.retraining.seal import Seal
from pipeline.tracking.champion import METRICS
from pipeline.tracking.gate_runs import count_looks
from pipeline.tracking.promotions import find_version, read_moves, read_version, roll_back
from pipeline.tracking.registry import find_champion
from pipeline.tracking.server import open_client

ROOT = Path(__file__).resolve().parents[2]
SEALED = Seal("lock", "inputs", "sealed; DVC's remote holds every output", "2026-01-01T00:00:00+00:00")
pytestmark = pytest.mark.slow


@pytest.fixture
def pack(small_project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that packs the bundle of a finished pipeline into a bento of its own bytes."""
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    for name in ("corpus", "bundle", "index"):
        shutil.copytree(getattr(small_project, name), paths.DATA / name)
    shutil.copytree(small_project.raw, paths.RAW / "shapes")
    shutil.copyfile(ROOT / "params.yaml", "params.yaml")
    rules = yaml.safe_load((ROOT / "presets/gate/default.yaml").read_text(encoding="utf-8"))
    rules |= {"split": "test", "min_videos": 2, "samples": 200, "searches": 2}
    rules["budgets"]["max_latency_ratio"] = 1000.0  # two searches on a busy machine
    write_bytes(Path("presets/gate/default.yaml"), yaml.safe_dump(rules).encode())
    write_json(METRICS, {"val": {"localizer": {"R1_iou0.5": 0.5, "mIoU": 0.4}}})
    write_bytes(Path("dvc.lock"), b"schema: '2.0'\nstages: {}\n")
    (tmp_path / paths.BENTO).mkdir()

    def build(version: str) -> None:
        with tarfile.open(paths.BENTO / "cuepoint.bento", "w:xz") as archive:
            content = yaml.safe_dump({"name": "cuepoint", "version": version}).encode()
            info = tarfile.TarInfo("bento.yaml")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
            for part in ("bundle", "index"):
                archive.add(paths.DATA / part, f"src/data/{part}")

    return build


def judge(why: str = "a test") -> tuple[str, str]:
    return judge_and_promote(SEALED, who="ann", why=why)[:2]


def find_served() -> str:
    champion = find_champion()
    return "" if champion is None else champion.version


def test_a_bundle_is_judged_once_and_a_rejected_one_is_kept_with_its_reason(pack: Callable[[str], None]) -> None:
    pack("1")
    assert judge("the first")[0] == "promoted"
    assert judge() == ("nothing to do", "this bundle is already the champion (version 1)")
    assert "already the champion" in compare_with_champion()

    pack("2")
    outcome, reason = judge("no gain")
    assert outcome == "rejected"
    assert "which must be above 0" in reason
    assert judge() == ("nothing to do", reason)
    assert find_served() == "1"
    kept = read_version("2").tags
    assert (kept["cuepoint.gate.outcome"], kept["cuepoint.gate.reason"]) == ("rejected", reason)
    with open_client() as client:
        page = client.get_model_version("cuepoint", "2").description
    assert "### Why it was rejected" in page
    assert page.endswith(f"by ann: no gain; {reason}")
    assert [(move.version, move.who) for move in read_moves()] == [("1", "ann")]
    match = judging._match("any", None)
    assert count_looks(match.queries.digest) == 2, "a repeated run is no further look"


def test_a_bundle_that_was_taken_back_is_not_promoted_again(pack: Callable[[str], None]) -> None:
    pack("1")
    judge()
    pack("2")
    judge()
    judging.promote("2", who="ann", why="to take it back")
    assert roll_back(who="ann", why="finds no goals").version == "1"
    assert judge() == ("nothing to do", "version 2 was taken back: finds no goals")


@pytest.mark.fault
@pytest.mark.parametrize("step", ["register_working_tree", "tag_version", "promote"])
def test_a_kill_at_any_step_leaves_no_half_version_and_the_next_run_finishes(
    step: str, pack: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    pack("1")

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(judging, step, die)
        with pytest.raises(KeyboardInterrupt):
            judge()
    assert find_served() == ""
    assert judge()[0] == "promoted"
    assert find_served() == "1"
    (move,) = read_moves()
    assert move.version == "1"
    match = judging._match("any", None)
    assert count_looks(match.queries.digest) == 1
    assert find_version("unknown") is None


def test_an_unsealed_bundle_is_compared_and_rejected(pack: Callable[[str], None]) -> None:
    pack("1")
    page = compare_with_champion()
    assert page.startswith("## Rejected: challenger")
    assert "the run is not sealed" in page
    assert find_served() == ""
