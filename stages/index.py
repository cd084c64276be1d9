"""DVC stage `index`: data/bundle/, data/corpus/, data/features/ -> data/index/."""

from pathlib import Path

from tqdm import tqdm

from corpus.records import Video, load_corpus
from corpus.store import FeatureStore, require_same_fingerprint
from serving.bundle import load_bundle
from serving.collection import CollectionEntry, IndexedVideo, save_collection
from serving.indexing import VideoIndexer
from stages.support import paths
from stages.support.entry import run_stage
from stages.support.params import load_params


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
    indexer = VideoIndexer(bundle)
    videos = sorted(load_corpus(corpus_dir).videos, key=lambda video: video.video_id)
    entries = [
        CollectionEntry(_describe(video), indexer.encode_features(store.load(video.video_id), duration_s=video.duration_s))
        for video in tqdm(videos, desc="index", unit="video", disable=None)
    ]
    return save_collection(index_dir, entries, manifest=bundle.manifest, fingerprint=store.fingerprint, corpus=corpus_name)


def _describe(video: Video) -> IndexedVideo:
    return IndexedVideo(video.video_id, video.path, video.duration_s, video.split, video.sha256)


if __name__ == "__main__":
    run_stage(main, name="index")
