"""The clip index: the clip vectors of a collection, so that a query finds windows without running a localizer.

A window is one input of the localizer: a whole video, or a part of a long one. The index holds each clip once.
faiss searches it in this process; `search.milvus` keeps it in a Milvus server.
"""

from search.clip_index.base import ClipHit, ClipIndex, Hits, Vectors, require_unit_vectors
from search.clip_index.faiss_index import FaissClipIndex
from search.clip_index.layout import ClipLayout, list_bounds

__all__ = ["ClipHit", "ClipIndex", "ClipLayout", "FaissClipIndex", "Hits", "Vectors", "list_bounds", "require_unit_vectors"]
