"""Check of the room for the outputs of a stage, before it ends."""

from pathlib import Path

import pytest

from corpus.files import NoRoomError
from pipeline.disk import commit_room
from pipeline.disk.commit_room import find_cache, find_outs, require_room_to_commit

ROOT = Path(__file__).resolve().parents[3]
PIPELINE = """
stages:
  extract: {cmd: x, outs: [data/features, {data/loose.json: {cache: false}}, {data/kept.json: {push: false}}]}
  train:
    foreach: ${train.models}
    do: {cmd: x, outs: ["data/checkpoints/${key}"]}
  check: {cmd: x}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "data" / "features").mkdir(parents=True)
    (tmp_path / "data" / "features" / "shard").write_bytes(b"x" * 5000)
    (tmp_path / ".dvc").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("stage", "outs"),
    [
        ("extract", ["data/features", "data/kept.json"]),
        ("train@blind", ["data/checkpoints/blind"]),
        ("check", []),
        ("unknown", []),
    ],
)
def test_the_outputs_of_a_stage_are_the_cached_ones(stage: str, outs: list[str], project: Path) -> None:
    assert find_outs(project / "dvc.yaml", stage) == outs


def test_every_stage_of_the_pipeline_has_outputs_to_keep() -> None:
    for stage in ("render", "ingest", "validate", "pretrain", "extract", "train@blind", "evaluate", "export", "index", "package"):
        assert find_outs(ROOT / "dvc.yaml", stage), stage


def test_local_settings_override_the_folder_of_the_cache(project: Path) -> None:
    assert find_cache(project) == (project / ".dvc" / "cache", "")
    (project / ".dvc" / "config").write_text("[core]\n    analytics = false\n[cache]\n    dir = ../big\n    type = reflink\n")
    assert find_cache(project) == (project / ".dvc" / "../big", "reflink")
    (project / ".dvc" / "config.local").write_text("[cache]\n    dir = /elsewhere\n['remote \"box\"']\n    url = /box\n")
    assert find_cache(project) == (Path("/elsewhere"), "reflink")


def test_outputs_that_do_not_fit_are_refused_unless_the_cache_links_files(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_room, "measure_free_bytes", lambda folder: commit_room.RECORDS_BYTES + 4999)
    monkeypatch.setattr(commit_room, "_can_share_blocks", lambda path, folder: False)
    message = (
        r"No space left on device to take data/features, data/kept.json into DVC's cache: 2102152 bytes are needed, 2102151 "
    )
    with pytest.raises(NoRoomError, match=message):
        require_room_to_commit("extract", project)
    (project / ".dvc" / "config").write_text("[cache]\n    type = hardlink\n")
    require_room_to_commit("extract", project)


def test_a_disk_without_room_for_dvc_s_records_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_room, "measure_free_bytes", lambda folder: 1 << 30 if ".dvc" in str(folder) else 1000)
    with pytest.raises(NoRoomError, match=r"to keep DVC's records: 2097152 bytes are needed, 1000 bytes are free in /"):
        require_room_to_commit("check", project)
