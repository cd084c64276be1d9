"""Clip vectors in a Milvus collection, one row per clip. Letters: S clips of a video, E embedding width.

The key of a video is a number, the first 63 bits of its id's hash, so filters hold only numbers and never an id.
The row of a video's first clip is written last and deleted first. A video exists if that row exists, even after a kill.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple, TypeVar

import numpy as np

from search.clip_index import Vectors
from search.clip_index.searchers import FLAT_ROWS
from search.milvus.address import MilvusAddress

MAX_HITS = 16_384  # limit of a Milvus search
_ROWS_PER_CALL = 8_192  # 2 MB at E = 64; Milvus accepts 64 MB
_KEYS_PER_CALL = 1_000
_LOAD_LIMIT_S = 600.0  # a server needs time to load a large collection into its memory
_NOT_LOADED = 101  # Milvus' code for a collection that is not in its memory
_NAMES = ("cuepoint.bundle_version", "cuepoint.fingerprint")

T = TypeVar("T")


class Identity(NamedTuple):
    """Origin of the vectors."""

    bundle_version: str
    fingerprint: str  # digest of the features' fingerprint


class StoredVideo(NamedTuple):
    """The vectors of a video, (S, E), and their hash."""

    vectors: Vectors
    digest: str


class TableHit(NamedTuple):
    """A clip that was found, by its video's key and its number in the video."""

    key: int
    clip: int
    score: float


def compute_key(video_id: str) -> int:
    """Return the key of a video."""
    return int.from_bytes(hashlib.sha256(video_id.encode()).digest()[:8], "big") >> 1


def store_video(vectors: Vectors) -> StoredVideo:
    """Return vectors with their hash."""
    exact = np.ascontiguousarray(vectors, dtype="<f4")
    return StoredVideo(exact, hashlib.sha256(exact.data).hexdigest()[:32])


class MilvusTable:
    """Rows of one collection. Every call sees all earlier writes; server errors raise `ConnectionError`."""

    def __init__(self, client: Any, name: str, timeout_s: float) -> None:
        """Use a client of pymilvus and an existing collection; see `open`."""
        self._client, self._name, self._timeout_s = client, name, timeout_s

    @classmethod
    def open(cls, place: MilvusAddress, identity: Identity, *, embedding_dim: int, num_clips: int) -> "MilvusTable":
        """Connect, create the collection if it is missing, and refuse one with other vectors.

        A new collection uses exact search for up to `FLAT_ROWS` clips, and the server's choice (`AUTOINDEX`) for more.

        Raises:
            ValueError: when pymilvus is not installed, or the collection belongs to another bundle.
            ConnectionError: when the server does not answer.
        """
        name = place.collection or f"cuepoint_{identity.bundle_version[:12]}"
        _require_client()
        table = cls(_call(lambda: _connect(place)), name, place.timeout_s)
        if not table._ask("has_collection"):
            kind = "FLAT" if num_clips <= FLAT_ROWS else "AUTOINDEX"
            table._create(identity, embedding_dim=embedding_dim, index_type=kind)
        table._require_identity(identity)
        table._load()
        return table

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def list_digests(self) -> dict[int, str]:
        """Return the hash of the vectors of every stored video, by its key."""
        rows = self._ask("query_iterator", filter="clip == 0", output_fields=["video", "digest"], batch_size=_ROWS_PER_CALL)
        found: dict[int, str] = {}
        while batch := _call(rows.next):
            found |= {row["video"]: row["digest"] for row in batch}
        rows.close()
        return found

    def find_digest(self, key: int) -> str | None:
        """Return the hash of the vectors of a video, `None` if it is not stored."""
        rows = self._ask("query", filter=f"video == {key} and clip == 0", output_fields=["digest"])
        return str(rows[0]["digest"]) if rows else None

    def write(self, videos: Mapping[int, StoredVideo]) -> None:
        """Write new videos, each completely or not at all. They are durable when this returns."""
        rows: list[dict[str, Any]] = []
        for is_first in (False, True):
            for key, video in videos.items():
                for clip in [0] if is_first else range(1, len(video.vectors)):
                    rows.append(_build_row(key, clip, video))
                    if len(rows) == _ROWS_PER_CALL:
                        self._ask("upsert", data=rows)
                        rows = []
            if rows:
                self._ask("upsert", data=rows)
                rows = []

    def delete(self, keys: Sequence[int]) -> None:
        """Delete videos, including partly written ones."""
        for start in range(0, len(keys), _KEYS_PER_CALL):
            named = f"video in {list(keys[start : start + _KEYS_PER_CALL])}"
            self._ask("delete", filter=f"{named} and clip == 0")
            self._ask("delete", filter=named)

    def read(self, num_clips: Mapping[int, int]) -> dict[int, Vectors]:
        """Return the vectors of videos, given with their numbers of clips. Deleted videos are missing."""
        found: dict[int, dict[int, Any]] = {key: {} for key in num_clips}
        for condition in _list_conditions(num_clips):
            for row in self._ask("query", filter=condition, output_fields=["video", "clip", "vector"]):
                found[row["video"]][row["clip"]] = row["vector"]
        whole = {key: clips for key, clips in found.items() if len(clips) == num_clips[key]}
        return {key: np.array([clips[clip] for clip in sorted(clips)], dtype=np.float32) for key, clips in whole.items()}

    def search(self, query: Vectors, limit: int, *, only: Sequence[int] | None, without: Sequence[int] = ()) -> list[TableHit]:
        """Return the `limit` best clips, best first, from all videos or `only` some, excluding those of `without`."""
        conditions = ([] if only is None else [f"video in {list(only)}"]) + ([f"video not in {list(without)}"] if without else [])
        (found,) = self._ask(
            "search",
            data=[query.astype(np.float32)],
            anns_field="vector",
            filter=" and ".join(conditions),
            limit=limit,
            output_fields=["video", "clip"],
        )
        return [TableHit(hit["entity"]["video"], hit["entity"]["clip"], float(hit["distance"])) for hit in found]

    def _create(self, identity: Identity, *, embedding_dim: int, index_type: str) -> None:
        from pymilvus import DataType, MilvusClient  # noqa: PLC0415

        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("clip_id", DataType.VARCHAR, is_primary=True, max_length=64)
        schema.add_field("video", DataType.INT64)
        schema.add_field("clip", DataType.INT64)
        schema.add_field("digest", DataType.VARCHAR, max_length=32)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=embedding_dim)
        index = MilvusClient.prepare_index_params()
        index.add_index("vector", index_type=index_type, metric_type="IP")
        index.add_index("video", index_type="INVERTED")
        properties = dict(zip(_NAMES, identity, strict=True))
        self._ask("create_collection", schema=schema, index_params=index, consistency_level="Strong", properties=properties)

    def _require_identity(self, identity: Identity) -> None:
        properties = self._ask("describe_collection").get("properties", {})
        found = Identity(*(properties.get(name, "unknown") for name in _NAMES))
        if found != identity:
            raise ValueError(
                f"the Milvus collection {self._name!r} was made by the bundle {found.bundle_version} from features "
                f"{found.fingerprint}, but this is the bundle {identity.bundle_version} with features {identity.fingerprint}; "
                "set CUEPOINT_MILVUS_COLLECTION to another name, or drop the collection in Milvus to recreate it"
            )

    def _load(self) -> None:
        self._ask("load_collection", timeout=_LOAD_LIMIT_S)

    def _ask(self, method: str, **arguments: Any) -> Any:
        """Call the server. If the collection left its memory, as after a restart, load it and call again."""
        ask = partial(getattr(self._client, method), self._name, **{"timeout": self._timeout_s, **arguments})
        try:
            return _call(ask)
        except ConnectionError as error:
            if getattr(error.__cause__, "code", None) != _NOT_LOADED:
                raise
        self._load()
        return _call(ask)


def _require_client() -> None:
    if find_spec("pymilvus") is None:
        raise ValueError("CUEPOINT_MILVUS_URI is set, but pymilvus is not installed; run: pip install 'pymilvus>=3.0'")


def _connect(place: MilvusAddress) -> Any:
    from pymilvus import MilvusClient  # noqa: PLC0415 # an extra

    return MilvusClient(place.uri, token=place.token, timeout=place.timeout_s)


def _call(ask: Callable[[], T]) -> T:
    from grpc import RpcError  # noqa: PLC0415
    from pymilvus.exceptions import MilvusException  # noqa: PLC0415

    try:
        return ask()
    except (MilvusException, RpcError) as error:
        raise ConnectionError(f"the Milvus request failed: {error}") from error


def _build_row(key: int, clip: int, video: StoredVideo) -> dict[str, Any]:
    return {"clip_id": f"{key}/{clip}", "video": key, "clip": clip, "digest": video.digest, "vector": video.vectors[clip]}


def _list_conditions(num_clips: Mapping[int, int]) -> Iterator[str]:
    """Yield filters for all clips of videos, each for at most `_ROWS_PER_CALL` rows."""
    keys: list[int] = []
    total = 0
    for key, count in num_clips.items():
        if count > _ROWS_PER_CALL:
            for start in range(0, count, _ROWS_PER_CALL):
                yield f"video == {key} and clip >= {start} and clip < {start + _ROWS_PER_CALL}"
            continue
        if total + count > _ROWS_PER_CALL:
            yield f"video in {keys}"
            keys, total = [], 0
        keys.append(key)
        total += count
    if keys:
        yield f"video in {keys}"
