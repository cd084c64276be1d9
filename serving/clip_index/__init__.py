"""The clip index: the clip vectors of a collection, so that a query finds windows without running a localizer.

A window is what the localizer reads at once: a whole video, or a part of a long one. The index holds each clip once.
In this process it is faiss; `serving.milvus` keeps the same in a Milvus server.
"""

from serving.clip_index.base import ClipHit, ClipIndex, Hits, Vectors, require_unit_vectors
from serving.clip_index.faiss_index import FaissClipIndex
from serving.clip_index.layout import ClipLayout, list_bounds

__all__ = ["ClipHit", "ClipIndex", "ClipLayout", "FaissClipIndex", "Hits", "Vectors", "list_bounds", "require_unit_vectors"]
