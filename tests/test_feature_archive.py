"""A corpus of annotations and feature files, without videos, runs through the pipeline, trains models and can be searched."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

pytestmark = pytest.mark.whole

RunIn = Callable[..., str]
ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("corpus", "models", "search", "evaluation", "pipeline", "serving", "stages")
CHECKOUT = (".dvc", ".dvcignore", *PACKAGES, "presets", "dvc.yaml", "params.yaml", "pyproject.toml")
SENTENCES = (
    "a dog runs",
    "a cat sleeps",
    "he opens a door",
    "she reads a book",
    "the ball rolls",
    "a car turns",
    "two birds fly",
)
PRESET = """
streams:
  - { name: look, path: features/look.hdf5, key: "{video_id}/c3d_features", width: 24, normalise: l2 }
  - { name: sound, path: "features/sound/{video_id}.npz", key: features, width: 8, normalise: none }
"""
CHANGES = {
    "params.yaml": {
        "name: shapes": "name: made",
        "reader: folder": "reader: activitynet_captions",
        "features: from_videos": "features: made",
        "localizer: place_tan": "localizer: tan2d",
        "bootstrap_samples: 1000": "bootstrap_samples: 50",
    },
    "presets/localizer/tan2d.yaml": {"max_epochs: 8": "max_epochs: 2", "[video]": "[look, sound]"},
    "presets/blind/text_only.yaml": {"max_epochs: 25": "max_epochs: 2"},
    "presets/retriever/dual_encoder.yaml": {"max_epochs: 12": "max_epochs: 6", "[video]": "[look, sound]"},
}


class ArchiveWriter:
    """Writes features of videos of 30 to 60 s: three of seven events each, visible through noise in two streams."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.generator = np.random.default_rng(0)
        self.look = self.generator.normal(size=(len(SENTENCES) + 1, 24))
        self.sound = self.generator.normal(size=(len(SENTENCES) + 1, 8))

    def write(self, split: str, num_videos: int) -> None:
        names = [f"v_{split}_{number:02d}" for number in range(num_videos)]
        (self.root / f"{split}.json").write_text(json.dumps({name: self.write_video(name) for name in names}))

    def write_video(self, name: str) -> dict[str, Any]:
        duration_s = float(self.generator.integers(30, 60))
        num_rows = int(duration_s * self.generator.uniform(1.8, 2.2))
        events = self.generator.permutation(len(SENTENCES))[:3]
        cuts = np.sort(self.generator.uniform(0.02, 0.9, size=3)) * duration_s
        windows = [(float(cut), min(float(cut) + 6.0, duration_s)) for cut in cuts]
        shown = np.full(num_rows, len(SENTENCES))
        times_s = (np.arange(num_rows) + 0.5) * duration_s / num_rows
        for event, (start_s, end_s) in zip(events, windows, strict=True):
            shown[(times_s >= start_s) & (times_s < end_s)] = event
        with h5py.File(self.root / "features" / "look.hdf5", "a") as file:
            file[f"{name}/c3d_features"] = self.add_noise(self.look[shown]).astype(np.float32)
        longer = np.append(shown, shown[-1])
        sound = self.add_noise(self.sound[longer]).astype(np.float16)
        np.savez_compressed(self.root / "features" / "sound" / f"{name}.npz", features=sound)
        return {"duration": duration_s, "timestamps": windows, "sentences": [SENTENCES[event] for event in events]}

    def add_noise(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return values + self.generator.normal(scale=0.5, size=values.shape)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, run_in: RunIn) -> Path:
    """Run the stages up to `index` on feature files in a copy of this checkout."""
    folder = tmp_path_factory.mktemp("archive") / "checkout"
    for name in CHECKOUT:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "cache", "tmp", "config.local"))
        else:
            shutil.copy(source, target)
    for name, changes in CHANGES.items():
        content = (folder / name).read_text(encoding="utf-8")
        for old, new in changes.items():
            assert content.count(old) == 1, f"{name} holds {old!r} {content.count(old)} times"
            content = content.replace(old, new)
        (folder / name).write_text(content, encoding="utf-8")
    (folder / "presets" / "features" / "made.yaml").write_text(PRESET, encoding="utf-8")
    raw = folder / "data" / "raw" / "made"
    (raw / "features" / "sound").mkdir(parents=True)
    writer = ArchiveWriter(raw)
    for split, num_videos in (("train", 40), ("val_1", 8), ("val_2", 12)):
        writer.write(split, num_videos)
    run_in(folder, "git", "init", "-q")
    run_in(folder, "dvc", "repro", "-q", "evaluate", "index")
    return folder


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_store_was_packed_from_both_streams(checkout: Path) -> None:
    index = read_json(checkout / "data" / "features" / "index.json")
    assert index["streams"].keys() == {"look", "sound"}
    for stream in index["streams"].values():
        assert sum(len(shard["num_clips"]) for shard in stream["shards"]) == 60
        assert stream["clip_rate_hz"] is None
    config = read_json(checkout / "data" / "checkpoints" / "localizer" / "config.json")
    assert config["dims"]["streams"] == {"look": {"num_places": 1, "dim": 24}, "sound": {"num_places": 1, "dim": 8}}
    assert read_json(checkout / "data" / "encoder" / "config.json")["streams"] == {}


def test_the_localizer_beats_itself_on_another_video(checkout: Path) -> None:
    found = read_json(checkout / "data" / "reports" / "evaluation" / "metrics.json")["test"]["collection"]
    assert found["R10"] > 3 * max(found["chance_R10"], found["shuffled_R10"])


def test_the_report_shows_answers_without_pictures_of_videos(checkout: Path) -> None:
    assert (checkout / "data" / "reports" / "evaluation" / "index.html").stat().st_size > 10_000


def test_the_search_answers_over_the_videos_of_the_archive(checkout: Path, run_in: RunIn) -> None:
    output = run_in(checkout, sys.executable, "-m", "cuepoint", "search", "a dog runs", "-k", "5")
    assert output.count("features only") == 5


def test_videos_cannot_be_indexed_without_the_encoders_of_their_streams(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    command = [sys.executable, "-m", "cuepoint", "index", str(tmp_path / "videos"), "--bundle", "data/bundle"]
    result = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "this bundle lacks the encoder of 'look', 'sound': its models read features that came from files" in result.stderr


def test_a_second_repro_runs_nothing_and_a_changed_archive_is_noticed(checkout: Path, run_in: RunIn) -> None:
    assert json.loads(run_in(checkout, "dvc", "status", "--json", "--with-deps", "evaluate", "index")) == {}
    path = checkout / "data" / "raw" / "made" / "features" / "sound" / "v_train_00.npz"
    before = path.read_bytes()
    with np.load(path) as arrays:
        np.savez(path, features=arrays["features"][:, :7])
    try:
        result = subprocess.run(
            ["dvc", "repro", "extract"], cwd=checkout, capture_output=True, text=True, check=False, env=find_environment()
        )
    finally:
        path.write_bytes(before)
    assert result.returncode != 0
    assert "of another width (1 videos): v_train_00" in result.stderr


def find_environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
