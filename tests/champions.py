"""A registry of small bentos: two that serve, and others that fail in one respect each."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.files import read_json, sha256_file, write_json
from pipeline.tracking.server import register_bundle

SOURCE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Registry:
    """A registry: versions 1 and 2 serve, 3 is damaged, 4 fails at the uploads, 5 is like a bento of an earlier release."""

    models: tuple[str, str]  # versions of the bundles 1 and 2, as answers name them


def spoil(archive: Path, folder: Path, change: Callable[[Path], None]) -> Path:
    """Return another archive of a bento whose unpacked source was changed."""
    from pipeline.launch.serve import find_bento, unpack_bento
    from pipeline.packaging.bento import archive_bento

    bento = find_bento(unpack_bento(archive, folder, digest=sha256_file(archive)))
    change(bento / "src")
    archive_bento(bento, folder / "cuepoint.bento")
    return folder / "cuepoint.bento"


def move_threshold(source: Path) -> None:
    """Make another version of the bundle with the same networks."""
    from search.bundle import Manifest, load_bundle, save_manifest

    bundle_dir, index_path = source / "data" / "bundle", source / "data" / "index" / "index.json"
    content = load_bundle(bundle_dir).manifest.model_dump(mode="json")
    content["calibration"]["search"]["threshold"] = 0.123
    manifest = Manifest.model_validate(content)
    save_manifest(manifest, bundle_dir)
    write_json(index_path, read_json(index_path) | {"bundle_version": manifest.version})


def damage(source: Path) -> None:
    path = source / "data" / "bundle" / "localizer.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def fail_at_uploads(source: Path) -> None:
    path = source / "serving" / "library" / "library.py"
    text = path.read_text()
    assert "        self._predictor.discard_strays()\n" in text
    failing = '        raise ValueError("the uploads cannot be restored")\n'
    path.write_text(text.replace("        self._predictor.discard_strays()\n", failing))


def make_older(source: Path) -> None:
    """Turn a bento into one that tells a launcher nothing and cannot start beside another one, like earlier releases."""
    startup = source / "serving" / "startup"
    text = (startup / "successor.py").read_text()
    assert "os.environ.get(_NEWS)" in text
    (startup / "alone.py").write_text(text.replace("os.environ.get(_NEWS)", "None"))
    (startup / "successor.py").unlink()
    for path in (source / "serving" / "service.py", startup / "loading.py"):
        path.write_text(path.read_text().replace("serving.startup.successor", "serving.startup.alone"))


def build_registry(project: Any, folder: Path) -> Registry:
    """Register five bentos, which differ from the first one in one respect each."""
    from stages.package import PackageInputs, package

    inputs = PackageInputs(SOURCE, project.bundle, project.index, project.raw, project.corpus)
    package(inputs, thumbnails_per_video=1, bento_dir=folder / "first")
    first = folder / "first" / "cuepoint.bento"
    others = [spoil(first, folder / change.__name__, change) for change in (move_threshold, damage, fail_at_uploads, make_older)]
    for number, archive in enumerate([first, *others], start=1):
        (folder / "files" / str(number)).mkdir(parents=True)
        shutil.copy(archive, folder / "files" / str(number) / "cuepoint.bento")
        digest = sha256_file(archive)
        assert register_bundle(folder / "files" / str(number), digest=digest, metrics={}, tags={}) == str(number)
    (manifest,) = (folder / "move_threshold").glob("bentoml/*/bentos/*/*/src/data/bundle/manifest.json")
    first_manifest = project.bundle / "manifest.json"
    return Registry((read_json(first_manifest)["version"][:12], read_json(manifest)["version"][:12]))
