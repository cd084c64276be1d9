"""Address of the clip vectors in Milvus."""

from dataclasses import dataclass, field

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class MilvusAddress:
    """A Milvus server, or a milvus-lite file for tests. If `collection` is empty, the bundle names the collection."""

    uri: str = field(repr=False)  # it may hold a password
    token: str = field(default="", repr=False)
    collection: str = ""
    timeout_s: float = TIMEOUT_S
