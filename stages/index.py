"""DVC stage `index`: data/bundle/, data/corpus/, data/features/ -> data/index/."""

from pathlib import Path

from tqdm import tqdm

from corpus.records import Video, load_corpus
from corpus.store import FeatureStore, require_same_fingerprint
from pipeline import paths
from pipeline.entry import run_stage
from pipeline.params import load_params
from search.bundle import load_bundle
from search.collection import save_collection
from search.contracts import Entry
from search.indexed_video import IndexedVideo
from search.indexing.video_indexer import EncodedVideo, VideoIndexer
from search.networks import Networks, embed_bank


def main() -> None:
    """Index the videos of the working tree's corpus."""
    corpus = load_params().corpus.name
    num_clips = index(
        bundle_dir=paths.BUNDLE, corpus_dir=paths.CORPUS, features_dir=paths.FEATURES, corpus_name=corpus, index_dir=paths.INDEX
    )
    print(f"index: {num_clips} clips")


def index(*, bundle_dir: Path, corpus_dir: Path, features_dir: Path, corpus_name: str, index_dir: Path) -> int:
    """Write the clip vectors and the localizer's cells of all videos of a corpus, and return the number of clips.

    Raises:
        FingerprintMismatchError: when the fingerprint of the features differs from the bundle's.
    """
    bundle, store = load_bundle(bundle_dir), FeatureStore(features_dir)
    streams = {name: store.stream(name) for name in bundle.manifest.streams}
    fingerprint = store.combine_fingerprint(streams)
    require_same_fingerprint(expected=bundle.manifest.fingerprint, found=fingerprint, what=f"the feature store {features_dir}")
    indexer = VideoIndexer(bundle)

    def encode(video: Video) -> EncodedVideo:
        features = {name: stream.load(video.video_id) for name, stream in streams.items()}
        return indexer.encode_features(features, duration_s=video.duration_s)

    videos = sorted(load_corpus(corpus_dir).videos, key=lambda video: video.video_id)
    entries = [Entry(_describe(video), encode(video)) for video in tqdm(videos, desc="index", unit="video", disable=None)]
    bank, manifest = embed_bank(bundle, Networks(bundle, num_threads=1)), bundle.manifest
    return save_collection(index_dir, entries, manifest=manifest, fingerprint=fingerprint, corpus=corpus_name, bank=bank)


def _describe(video: Video) -> IndexedVideo:
    return IndexedVideo(video.video_id, video.path or "", video.duration_s, video.split, video.sha256, not video.notes)


if __name__ == "__main__":
    run_stage(main, name="index")
