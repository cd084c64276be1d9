"""Stage `index`: the index holds every video of the corpus, is reproducible, and only accepts features of its bundle."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.files import read_json, write_json
from corpus.moments import resample_clips
from corpus.store import FeatureStore, FingerprintMismatchError
from corpus.windows import WindowId
from search.bundle import load_bundle
from search.collection import load_collection
from stages.index import index


def run_index(project: Any, *, index_dir: Path, features_dir: Path | None = None) -> int:
    return index(
        bundle_dir=project.bundle,
        corpus_dir=project.corpus,
        features_dir=features_dir or project.features,
        corpus_name="small",
        index_dir=index_dir,
    )


def test_the_index_holds_clips_cells_and_files_of_every_video(small_project: Any) -> None:
    bundle, store = load_bundle(small_project.bundle), FeatureStore(small_project.features).stream("video")
    collection = load_collection(small_project.index, bundle.manifest)
    assert set(collection.videos) == set(store.video_ids) == set(collection.clips.video_ids)
    assert collection.clips.num_clips == sum(len(clips) for _, clips in store.items())
    assert collection.corpus == "small"
    for video_id, clips in store.items():
        expected = resample_clips(clips, bundle.manifest.num_cells).astype(np.float16)
        cells, _ = collection.get_window(WindowId(video_id, 0))
        np.testing.assert_array_equal(cells["video"], expected)
        assert (small_project.raw / collection.videos[video_id].path).is_file()


def test_indexing_twice_gives_the_same_bytes(small_project: Any, tmp_path: Path) -> None:
    run_index(small_project, index_dir=tmp_path)
    found, expected = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path, small_project.index)
    )
    assert found == expected


def test_features_of_another_encoder_are_refused(small_project: Any, tmp_path: Path) -> None:
    features_dir = Path(shutil.copytree(small_project.features, tmp_path / "features"))
    content = read_json(features_dir / "index.json")
    content["streams"]["video"]["fingerprint"]["identity"]["weights"] = "other"
    write_json(features_dir / "index.json", content)
    with pytest.raises(FingerprintMismatchError, match="the feature store .* was made with other features"):
        run_index(small_project, index_dir=tmp_path / "out", features_dir=features_dir)


def test_the_index_names_its_bundle(small_project: Any) -> None:
    content = json.loads((small_project.index / "index.json").read_text())
    assert content["bundle_version"] == load_bundle(small_project.bundle).version
    assert content["num_videos"] == 4
