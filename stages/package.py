"""DVC stage `package`: data/bundle/, data/index/, data/corpus/, data/raw/<corpus>/ -> data/bento/."""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from corpus.files import sha256_file, write_json
from corpus.records import load_corpus
from pipeline import paths
from pipeline.entry import run_stage
from pipeline.packaging.bento import NAME, archive_bento, build_bento, copy_context, read_packages
from pipeline.packaging.collection_thumbnails import save_all_thumbnails
from pipeline.packaging.examples import choose_examples
from pipeline.params import load_params
from search.bundle import load_bundle
from search.collection import load_collection

BENTO, INFO, EXAMPLES = "cuepoint.bento", "info.json", "examples.json"
VERSION_LENGTH = 12


class PackageInputs(NamedTuple):
    """Inputs of a bento: the checkout with the code, models, index, the videos for thumbnails, and example sentences."""

    source: Path
    bundle_dir: Path
    index_dir: Path
    media_dir: Path
    corpus_dir: Path


def main() -> None:
    """Package the working tree's bundle and index."""
    params = load_params()
    inputs = PackageInputs(Path.cwd(), paths.BUNDLE, paths.INDEX, paths.RAW / params.corpus.name, paths.CORPUS)
    info = package(inputs, thumbnails_per_video=params.package.thumbnails_per_video, bento_dir=paths.BENTO)
    print(f"{info['tag']}: {info['size_bytes'] / 1e6:.1f} MB in {paths.BENTO / BENTO}")


def package(inputs: PackageInputs, *, thumbnails_per_video: int, bento_dir: Path) -> dict[str, Any]:
    """Build the bento outside the project, write its archive and return the content of `info.json`.

    Raises:
        ValueError: when bundle and index do not belong together, or the build of BentoML fails.
    """
    bundle = load_bundle(inputs.bundle_dir)
    collection = load_collection(inputs.index_dir, bundle.manifest)
    bento_version = bundle.version[:VERSION_LENGTH]
    packages = read_packages(inputs.source / "pyproject.toml", also=bundle.tokenizer.packages)
    with tempfile.TemporaryDirectory(prefix="cuepoint-bento-") as scratch:
        folders = {"bundle": inputs.bundle_dir, "index": inputs.index_dir, "thumbnails": Path(scratch) / "thumbnails"}
        videos = list(collection.videos.values())
        num_thumbnails = save_all_thumbnails(videos, inputs.media_dir, folders["thumbnails"], per_video=thumbnails_per_video)
        context = Path(scratch) / "context"
        copy_context(context, source=inputs.source, folders=folders, packages=packages)
        examples = choose_examples(load_corpus(inputs.corpus_dir))
        write_json(context / "data" / EXAMPLES, {"corpus": collection.corpus, "examples": examples})
        built = build_bento(context, home=Path(scratch) / "home", bento_version=bento_version)
        archive_bento(built, bento_dir / BENTO)
    info = {
        "tag": f"{NAME}:{bento_version}",
        "bundle_version": bundle.version,
        "sha256": sha256_file(bento_dir / BENTO),
        "size_bytes": (bento_dir / BENTO).stat().st_size,
        "num_videos": len(videos),
        "num_thumbnails": num_thumbnails,
        "packages": packages,
    }
    write_json(bento_dir / INFO, info)
    return info


if __name__ == "__main__":
    run_stage(main, name="package")
