"""A corpus of annotations and feature files: ingested without videos, packed into the store, and refused on mismatches."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from corpus.feature_files.schema import FeatureFilesParams
from corpus.files import sha256_file
from corpus.gate.tables import load_tables
from corpus.ingestion.ingested import Ingested
from corpus.ingestion.params import IngestParams
from corpus.readers import build_reader
from corpus.records import load_corpus, save_corpus
from corpus.store import FeatureStore
from pipeline.components.loading import load_features
from pipeline.executors import feature_packing, feature_probing
from pipeline.executors.feature_packing import pack_features
from pipeline.executors.shards import group_videos
from stages.ingest import ingest

PARAMS = IngestParams(validation_share=0.2, test_share=0.2, max_quarantine_share=0.02, seed=1)
FILES = FeatureFilesParams.model_validate(
    {"streams": [{"name": "video", "path": "features/c3d.hdf5", "key": "{video_id}/c3d_features", "width": 4, "normalise": "l2"}]}
)
NUM_VIDEOS = 7


@pytest.fixture(autouse=True)
def _in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read files in this process, because workers take seconds to start; the test of the whole pipeline uses workers."""

    def map_here(function: Callable[[Any], Any], items: Iterable[Any], *, what: str) -> Iterable[Any]:
        return map(function, items)

    for module in (feature_probing, feature_packing):
        monkeypatch.setattr(module, "map_in_processes", map_here)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write seven videos of 10 s in the format of QVHighlights, with features of 19 to 25 rows and no video file."""
    folder = tmp_path / "raw"
    (folder / "features").mkdir(parents=True)
    rows = []
    with h5py.File(folder / "features" / "c3d.hdf5", "w") as file:
        for number in range(NUM_VIDEOS):
            values = np.random.default_rng(number).normal(size=(19 + number, 4)).astype(np.float32)
            file[f"v{number}/c3d_features"] = values
            window = {"qid": f"q{number}", "vid": f"v{number}", "duration": 10.0, "query": "a dog runs"}
            rows.append(window | {"relevant_windows": [[2.0, 4.0]]})
    (folder / "annotations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def change(root: Path, video_id: str, array: Any) -> None:
    with h5py.File(root / "features" / "c3d.hdf5", "a") as file:
        del file[f"{video_id}/c3d_features"]
        if array is not None:
            file[f"{video_id}/c3d_features"] = array


def run_ingest(root: Path, files: FeatureFilesParams = FILES) -> Ingested:
    return ingest(root, build_reader("folder"), PARAMS, cache_dir=root.parent / "cache", features=files)


def pack(root: Path, found: Ingested, out_dir: Path, files: FeatureFilesParams = FILES) -> int:
    return pack_features(group_videos(found.corpus.videos, 2), root=root, files=files, out_dir=out_dir)


def hash_files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_file(path) for path in folder.rglob("*") if path.is_file()}


def test_a_corpus_without_videos_is_ingested_from_annotations_and_features(root: Path, tmp_path: Path) -> None:
    found = run_ingest(root)
    assert found.corpus.splits == ("train", "val", "test")
    assert found.quarantine == ()
    assert {video.duration_s for video in found.corpus.videos} == {10.0}
    assert len({video.sha256 for video in found.corpus.videos}) == NUM_VIDEOS
    facts = {(video.path, video.codec, video.fps, video.width, video.has_audio) for video in found.corpus.videos}
    assert facts == {(None,) * 5}
    save_corpus(found.corpus, tmp_path / "corpus")
    assert load_corpus(tmp_path / "corpus") == found.corpus


def test_the_data_gate_accepts_unknown_properties_of_videos_without_files(root: Path, tmp_path: Path) -> None:
    save_corpus(run_ingest(root).corpus, tmp_path / "corpus")
    videos = load_tables(tmp_path / "corpus").videos
    assert videos[["missing_fields", "wrong_types", "fps", "num_frames", "width", "height", "codec"]].isna().all(axis=None)
    assert videos["duration_s"].tolist() == [10.0] * NUM_VIDEOS


def test_the_store_holds_the_rows_in_order_with_one_place_and_no_rate(root: Path, tmp_path: Path) -> None:
    num_clips = pack(root, run_ingest(root), tmp_path / "features")
    store = FeatureStore(tmp_path / "features").stream("video")
    assert num_clips == sum(range(19, 19 + NUM_VIDEOS))
    assert (store.clip_rate_hz, store.feature_shape) == (None, (1, 4))
    assert store.fingerprint.identity.keys() == {"settings", "arrays"}
    with h5py.File(root / "features" / "c3d.hdf5") as file:
        for video_id, features in store.items():
            values = file[f"{video_id}/c3d_features"][()]
            expected = values / np.linalg.norm(values, axis=1, keepdims=True)
            np.testing.assert_allclose(features[:, 0], expected, atol=1e-3)


def test_each_stream_is_packed_for_itself_and_keeps_its_fingerprint_when_another_one_joins(root: Path, tmp_path: Path) -> None:
    alone = run_ingest(root)
    pack(root, alone, tmp_path / "one")
    for number in range(NUM_VIDEOS):
        np.save(root / "features" / f"v{number}.npy", np.full((19 + number, 2), number, np.float32))
    sound = {"name": "sound", "path": "features/{video_id}.npy", "width": 2, "normalise": "none"}
    both = FeatureFilesParams.model_validate({"streams": [*FILES.model_dump()["streams"], sound]})
    pack(root, run_ingest(root, both), tmp_path / "two", both)
    one, two = FeatureStore(tmp_path / "one"), FeatureStore(tmp_path / "two")
    assert two.stream("video").fingerprint == one.stream("video").fingerprint
    assert hash_files(tmp_path / "one" / "video") == hash_files(tmp_path / "two" / "video")
    assert two.stream("sound").load("v3")[:, 0].tolist() == [[3.0, 3.0]] * 22


def test_packing_twice_gives_the_same_bytes(root: Path, tmp_path: Path) -> None:
    found = run_ingest(root)
    pack(root, found, tmp_path / "one")
    pack(root, found, tmp_path / "two")
    assert hash_files(tmp_path / "one") == hash_files(tmp_path / "two")


def test_one_changed_array_changes_one_video_one_shard_and_the_fingerprint(root: Path, tmp_path: Path) -> None:
    before = run_ingest(root)
    pack(root, before, tmp_path / "one")
    change(root, "v3", np.ones((20, 4), np.float32))
    after = run_ingest(root)
    pack(root, after, tmp_path / "two")
    hashes = [{video.video_id: video.sha256 for video in found.corpus.videos} for found in (before, after)]
    assert [name for name in hashes[0] if hashes[0][name] != hashes[1][name]] == ["v3"]
    first, second = hash_files(tmp_path / "one"), hash_files(tmp_path / "two")
    assert len([name for name in first if first[name] != second[name] and name != "index.json"]) == 1
    stores = [FeatureStore(tmp_path / name).fingerprint for name in ("one", "two")]
    assert stores[0].identity["video.settings"] == stores[1].identity["video.settings"]
    assert stores[0].identity["video.arrays"] != stores[1].identity["video.arrays"]


def test_missing_and_narrow_videos_stop_ingest_with_their_names_and_nothing_is_written(root: Path) -> None:
    change(root, "v1", None)
    change(root, "v2", np.ones((20, 5), np.float32))
    before = sorted(path.name for path in root.parent.iterdir())
    with pytest.raises(ValueError, match=r"features of 2 of 7 annotated videos cannot be used") as error:
        run_ingest(root)
    assert "missing (1 videos): v1 (features/c3d.hdf5 has no 'v1/c3d_features')" in str(error.value)
    assert "of another width (1 videos): v2 ((20, 5), expected (rows, 4))" in str(error.value)
    assert sorted(path.name for path in root.parent.iterdir()) == before


def test_an_archive_that_changed_since_it_was_ingested_is_not_packed(root: Path, tmp_path: Path) -> None:
    found = run_ingest(root)
    change(root, "v3", np.ones((20, 4), np.float32))
    with pytest.raises(ValueError, match=r"the features of the video 'v3' have changed since they were ingested; run: dvc repro"):
        pack(root, found, tmp_path / "features")
    assert not (tmp_path / "features" / "index.json").exists()


def test_a_video_that_was_removed_after_ingest_is_named(root: Path, tmp_path: Path) -> None:
    found = run_ingest(root)
    change(root, "v3", None)
    with pytest.raises(ValueError, match=r"the features of the video 'v3' are missing: .* run: dvc repro ingest"):
        pack(root, found, tmp_path / "features")


def test_the_same_features_in_two_splits_are_a_leak(root: Path) -> None:
    splits = {video.video_id: video.split for video in run_ingest(root).corpus.videos}
    rows = [json.loads(line) for line in (root / "annotations.jsonl").read_text().splitlines()]
    published = [row | {"split": splits[row["vid"]]} for row in rows]
    (root / "annotations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in published))
    train, test = (next(name for name in splits if splits[name] == split) for split in ("train", "test"))
    with h5py.File(root / "features" / "c3d.hdf5") as file:
        array = file[f"{train}/c3d_features"][()]
    change(root, test, array)
    with pytest.raises(ValueError, match="the same video is in two splits"):
        run_ingest(root)


def test_the_presets_of_public_archives_have_their_widths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    widths = {
        "charades_vgg": {"video": 4096},
        "activitynet_c3d": {"video": 500},
        "tacos_c3d": {"video": 4096},
        "qvhighlights_slowfast_clip": {"slowfast": 2304, "clip": 512},
    }
    found = {name: {stream.name: stream.width for stream in load_features(name).streams} for name in widths}
    assert found == widths
    assert load_features("from_videos").streams == ()


def test_every_preset_of_features_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    for path in Path("presets/features").glob("*.yaml"):
        load_features(path.stem)
