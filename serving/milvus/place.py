"""Where the clip vectors lie in Milvus, as the environment names it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class MilvusPlace:
    """A Milvus server, or for tests a file of milvus-lite; an empty collection is named after the bundle."""

    uri: str = field(repr=False)  # it may hold a password
    token: str = field(default="", repr=False)
    collection: str = ""
    timeout_s: float = TIMEOUT_S


def find_milvus(environment: Mapping[str, str] = os.environ) -> MilvusPlace | None:
    """Read `CUEPOINT_MILVUS_URI`, `_TOKEN` and `_COLLECTION`; without the first, the clip index lies in this process.

    Raises:
        ValueError: when a token or collection is given without the URI.
    """
    uri = environment.get("CUEPOINT_MILVUS_URI", "")
    token = environment.get("CUEPOINT_MILVUS_TOKEN", "")
    collection = environment.get("CUEPOINT_MILVUS_COLLECTION", "")
    if not uri and (token or collection):
        raise ValueError("CUEPOINT_MILVUS_TOKEN or _COLLECTION is set without CUEPOINT_MILVUS_URI; set it, or none of them")
    return MilvusPlace(uri, token, collection) if uri else None
