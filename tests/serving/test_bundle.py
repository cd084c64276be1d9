"""A bundle is verified before it is used: every byte, the version of its format, its own name."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from serving.bundle import load_bundle, save_manifest


@pytest.fixture
def bundle(small_project: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_project.bundle, tmp_path / "bundle"))


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_manifest_is_read_as_it_was_written_and_names_its_bundle(bundle: Path) -> None:
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
    edit(bundle / "manifest.json", format_version=1)
    with pytest.raises(ValueError, match="manifest.json has format_version 1, this code reads 3; run: dvc repro --force export"):
        load_bundle(bundle)


def test_a_changed_manifest_is_refused(bundle: Path) -> None:
    edit(bundle / "manifest.json", num_cells=9)
    with pytest.raises(ValueError, match="manifest.json was changed: version"):
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
