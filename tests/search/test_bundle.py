"""A bundle is verified before use: every byte, its format version and its name."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from corpus.store import FeatureStore
from search.bundle import load_bundle, save_manifest


@pytest.fixture
def bundle(small_project: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_project.bundle, tmp_path / "bundle"))


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_manifest_is_read_unchanged_and_names_its_bundle(bundle: Path) -> None:
    first = load_bundle(bundle)
    content = (bundle / "manifest.json").read_bytes()
    save_manifest(first.manifest, bundle)
    assert (bundle / "manifest.json").read_bytes() == content
    assert json.loads(content)["version"] == first.version


def test_the_version_changes_with_the_search_settings_but_not_with_the_parity(bundle: Path) -> None:
    manifest = load_bundle(bundle).manifest
    other = manifest.model_copy(update={"parity": {"localizer": 0.5}})
    changed = manifest.model_copy(update={"search": manifest.search.model_copy(update={"survivors": 4})})
    for copy in (other, changed):
        copy.__dict__.pop("version", None)
    assert other.version == manifest.version
    assert changed.version != manifest.version


def test_a_damaged_network_is_refused_with_both_hashes(bundle: Path) -> None:
    path = bundle / "localizer.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"localizer.onnx is damaged: sha256 \w{64}, expected \w{64}; run: dvc repro --force export"
    ):
        load_bundle(bundle)


def test_a_missing_network_is_named(bundle: Path) -> None:
    (bundle / "text_encoder.onnx").unlink()
    with pytest.raises(FileNotFoundError, match="text_encoder.onnx is missing from the bundle"):
        load_bundle(bundle)


def test_another_format_is_refused(bundle: Path) -> None:
    edit(bundle / "manifest.json", format_version=5)
    with pytest.raises(ValueError, match="manifest.json has format_version 5, this code reads 6; run: dvc repro --force export"):
        load_bundle(bundle)


def test_a_bundle_with_other_word_rules_names_the_command_that_rebuilds_it(bundle: Path) -> None:
    edit(bundle / "manifest.json", word_rules=1)
    with pytest.raises(ValueError, match="manifest.json has word_rules 1, but .* word_rules 2; run: dvc repro --force export"):
        load_bundle(bundle)


def test_a_changed_manifest_is_refused(bundle: Path) -> None:
    edit(bundle / "manifest.json", num_cells=9)
    with pytest.raises(ValueError, match="manifest.json was changed: version .*; run: dvc repro --force export"):
        load_bundle(bundle)


def test_a_manifest_without_a_key_is_refused(bundle: Path) -> None:
    content = json.loads((bundle / "manifest.json").read_text())
    del content["search"]
    (bundle / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="manifest.json: search: Field required"):
        load_bundle(bundle)


def test_a_folder_without_bundle_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no finished bundle; run: make repro"):
        load_bundle(tmp_path)


def test_a_manifest_whose_models_read_other_streams_is_refused(bundle: Path) -> None:
    edit(bundle / "manifest.json", localizer_streams=["sound"])
    with pytest.raises(ValueError, match=r"streams are video, but the models read sound, video; run: dvc repro --force export"):
        load_bundle(bundle)


@pytest.mark.slow
def test_a_bundle_without_the_encoder_of_a_stream_cannot_encode_videos(two_stream_project: Any) -> None:
    manifest = load_bundle(two_stream_project.bundle).manifest
    assert manifest.can_encode
    assert set(manifest.require_samplings()) == {"video", "sound"}
    stored = manifest.streams["sound"].model_copy(update={"sampling": None})
    other = manifest.model_copy(update={"streams": {**manifest.streams, "sound": stored}})
    assert not other.can_encode
    with pytest.raises(ValueError, match="lacks the encoder of 'sound': its models read features that came from files; "):
        other.require_samplings()


@pytest.mark.slow
def test_the_fingerprint_of_a_bundle_is_that_of_all_its_streams(two_stream_project: Any) -> None:
    manifest = load_bundle(two_stream_project.bundle).manifest
    store = FeatureStore(two_stream_project.features)
    assert manifest.fingerprint == store.combine_fingerprint(["video", "sound"])
    assert manifest.fingerprint_in({"decoder": "new"}).environment == {"sound.decoder": "new", "video.decoder": "new"}


@pytest.mark.slow
def test_the_windows_of_a_video_are_clips_of_the_localizers_first_stream_and_the_same_times_in_others(
    two_stream_project: Any,
) -> None:
    manifest = load_bundle(two_stream_project.bundle).manifest  # windows of 8 s; sound has 3 clips a second, video 2
    windows = manifest.cut({"sound": 36, "video": 24}, 12.0)
    assert [tuple(window) for window in windows] == [(0, 24, 0.0, 8.0), (12, 36, 4.0, 12.0)]
    matched = manifest.match_windows(windows, "video", num_clips=24, duration_s=12.0)
    assert [tuple(window) for window in matched] == [(0, 16, 0.0, 8.0), (8, 24, 4.0, 12.0)]
    tables = manifest.share_cells(windows, {"sound": 36, "video": 24}, 12.0)
    assert {name: tuple(table.ranges[-1]) for name, table in tables.items()} == {"sound": (33, 36), "video": (22, 24)}
