"""DVC stage `ingest`: data/raw/<corpus>/ -> data/corpus/ (videos, queries, quarantine, summary).

`cuepoint corpus summary` only counts the annotations.
"""

import json
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from tqdm import tqdm

from corpus.annotations import summarize_annotations
from corpus.feature_files.schema import FeatureFilesParams
from corpus.ingestion.ingest import ingest_features, ingest_videos
from corpus.ingestion.ingested import Ingested, describe_exceptions, describe_splits, save_ingested
from corpus.ingestion.params import IngestParams
from corpus.isolation import Budget
from corpus.media_info import Probe
from corpus.readers import build_reader
from corpus.readers.base import Reader
from corpus.records import TEST
from pipeline import paths
from pipeline.components.loading import load_features
from pipeline.entry import run_stage
from pipeline.executors.feature_probing import probe_features
from pipeline.executors.machine import count_workers
from pipeline.executors.probing import PROBE_BUDGET, probe_files
from pipeline.params import load_params


def ingest(
    root: Path,
    reader: Reader,
    params: IngestParams,
    *,
    cache_dir: Path,
    features: FeatureFilesParams | None = None,
    budget: Budget = PROBE_BUDGET,
) -> Ingested:
    """Ingest a corpus, probing its videos or feature files in worker processes; see `corpus.ingestion`.

    It only writes the cache of probes.
    """

    def probe(files: Sequence[Path]) -> Iterable[Probe]:
        found = probe_files(files, cache_dir=cache_dir / "probes", num_workers=count_workers(), budget=budget)
        return tqdm(found, total=len(files), desc="ingest", unit="video")

    if features and features.streams:
        return ingest_features(root, reader, params, probe=partial(probe_features, root, features))
    return ingest_videos(root, reader, params, probe=probe)


def main() -> None:
    """Read params and paths, ingest, write, and print a summary."""
    params = load_params()
    reader = build_reader(params.corpus.reader)
    root = paths.RAW / params.corpus.name
    features = load_features(params.corpus.features)
    found = ingest(root, reader, params.ingest, cache_dir=paths.find_cache_dir(), features=features)
    save_ingested(found, paths.CORPUS, corpus=params.corpus.name, reader=params.corpus.reader)
    for line in describe_splits(found):
        print(line)
    if TEST not in found.corpus.splits:
        print(f"the corpus publishes no split {TEST!r}; to score another split: -S evaluate.split=val")
    for line in describe_exceptions(found, paths.CORPUS):
        print(line)


def print_summary(reader_name: str | None, root: Path | None) -> None:
    """Print a summary of the annotations as JSON, before any split is held out."""
    if reader_name is None or root is None:
        corpus = load_params().corpus
        reader_name, root = reader_name or corpus.reader, root or paths.RAW / corpus.name
    reader = build_reader(reader_name)
    summary = summarize_annotations(reader.read(root))
    assumed = {"assumed_fps": reader.assumed_fps} if reader.assumed_fps else {}
    print(json.dumps({"reader": reader_name, "root": str(root), **assumed, **summary}, indent=2))


if __name__ == "__main__":
    run_stage(main, name="ingest")
