"""DVC stage `index`: data/bundle/, data/corpus/, data/features/ -> data/index/."""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from corpus.moments import resample_clips
from corpus.records import Video, load_corpus
from corpus.store import FeatureStore, Half, require_same_fingerprint
from serving.bundle import load_bundle
from serving.clip_index import ClipIndex, Vectors
from serving.collection import IndexedVideo, save_collection
from serving.networks import Networks
from stages.support import paths
from stages.support.entry import run_stage
from stages.support.params import load_params

NUM_THREADS = 1  # sums of another number of threads may differ in their last bit, and with them the index's bytes


def main() -> None:
    """Index the videos of the working tree's corpus."""
    corpus = load_params().corpus.name
    num_clips = index(
        bundle_dir=paths.BUNDLE, corpus_dir=paths.CORPUS, features_dir=paths.FEATURES, corpus_name=corpus, index_dir=paths.INDEX
    )
    print(f"index: {num_clips} clips")


def index(*, bundle_dir: Path, corpus_dir: Path, features_dir: Path, corpus_name: str, index_dir: Path) -> int:
    """Write the clip vectors and the localizer's cells of all videos of a corpus; return the number of clips.

    Raises:
        FingerprintMismatchError: when the features are not those the bundle reads.
    """
    bundle, store = load_bundle(bundle_dir), FeatureStore(features_dir)
    require_same_fingerprint(
        expected=bundle.manifest.fingerprint, found=store.fingerprint, what=f"the feature store {features_dir}"
    )
    networks = Networks(bundle, num_threads=NUM_THREADS)
    videos = sorted(load_corpus(corpus_dir).videos, key=lambda video: video.video_id)
    vectors: dict[str, Vectors] = {}
    cells: dict[str, Half] = {}
    for video in tqdm(videos, desc="index", unit="video", disable=None):
        features = store.load(video.video_id)
        vectors[video.video_id] = networks.embed_clips(features)
        cells[video.video_id] = resample_clips(features, bundle.manifest.num_cells).astype(np.float16)
    clips = ClipIndex.build(vectors, clip_rate_hz=store.clip_rate_hz, fingerprint=store.fingerprint)
    rows = [_describe(video) for video in videos]
    save_collection(index_dir, manifest=bundle.manifest, corpus=corpus_name, clips=clips, cells=cells, videos=rows)
    return clips.num_clips


def _describe(video: Video) -> IndexedVideo:
    return IndexedVideo(video.video_id, video.path, video.duration_s, video.split)


if __name__ == "__main__":
    run_stage(main, name="index")
