"""Feature store: named streams of clip features in packed shards, each stream with the fingerprint of its origin.

A store is a folder. `index.json` holds the fingerprint, clip rate and shards of each stream. `<stream>/shard-000.safetensors`,
... hold one float16 tensor (S, P, D) per video: S clips, P places of a clip (1 if the encoder keeps none), D width. Without a
clip rate, the clips of each video span it evenly.
"""

from corpus.store.fingerprints import Fingerprint, FingerprintMismatchError, combine_fingerprints, require_same_fingerprint
from corpus.store.shards import Half, Shard, choose_shard, save_shard
from corpus.store.streams import FeatureStore, StreamEntry, StreamStore, save_index

__all__ = [
    "FeatureStore",
    "Fingerprint",
    "FingerprintMismatchError",
    "Half",
    "Shard",
    "StreamEntry",
    "StreamStore",
    "choose_shard",
    "combine_fingerprints",
    "require_same_fingerprint",
    "save_index",
    "save_shard",
]
