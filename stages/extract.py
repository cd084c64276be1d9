"""DVC stage `extract`: videos and data/encoder/, or feature files -> data/features/ (packed, fingerprinted shards)."""

from corpus.records import load_corpus
from pipeline import paths
from pipeline.components.loading import load_features
from pipeline.entry import run_stage
from pipeline.executors.extraction import extract
from pipeline.executors.feature_packing import pack_features
from pipeline.executors.machine import count_workers
from pipeline.executors.shards import group_videos
from pipeline.params import load_params


def main() -> None:
    """Read params and paths, extract, and print the throughput."""
    params = load_params()
    videos, root = load_corpus(paths.CORPUS).videos, paths.RAW / params.corpus.name
    videos_per_shard = params.extract.videos_per_shard
    files = load_features(params.corpus.features)
    if files.streams:
        num_clips = pack_features(group_videos(videos, videos_per_shard), root=root, files=files, out_dir=paths.FEATURES)
        print(f"extract: {num_clips} clips of {len(videos)} videos from files ({params.corpus.features})")
        return
    reports = extract(
        videos,
        videos_per_shard=videos_per_shard,
        encoder_dir=paths.ENCODER,
        media_dir=root,
        out_dir=paths.FEATURES,
        cache_dir=paths.find_cache_dir(),
    )
    for name, report in reports.items():
        new = f"{report.num_new_videos} of {report.num_videos} videos decoded and encoded"
        rate = f"{report.num_new_videos / report.seconds:.1f} videos/s, {count_workers()} workers"
        print(f"extract {name}: {report.num_clips} clips; {new} in {report.seconds:.1f} s ({rate})")


if __name__ == "__main__":
    run_stage(main, name="extract")
