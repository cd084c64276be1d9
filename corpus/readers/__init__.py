"""Registry of annotation readers: one line per reader in `ReaderParams`."""

from typing import Annotated, get_args

from pydantic import Field, TypeAdapter

from corpus.readers.activitynet_captions import ActivityNetCaptionsParams
from corpus.readers.base import Reader
from corpus.readers.base import ReaderParams as BaseParams
from corpus.readers.charades_sta import CharadesSTAParams
from corpus.readers.didemo import DiDeMoParams
from corpus.readers.folder import FolderReaderParams
from corpus.readers.kpf import KPFParams
from corpus.readers.qvhighlights import QVHighlightsParams
from corpus.readers.tacos import TACoSParams

ReaderParams = Annotated[
    ActivityNetCaptionsParams
    | CharadesSTAParams
    | DiDeMoParams
    | FolderReaderParams
    | KPFParams
    | QVHighlightsParams
    | TACoSParams,
    Field(discriminator="name"),
]


def list_readers() -> list[str]:
    """Return the names of the readers."""
    union, *_ = get_args(ReaderParams)
    return sorted(get_args(params.model_fields["name"].annotation)[0] for params in get_args(union))


def build_reader(name: str) -> Reader:
    """Return the reader of this name.

    Raises:
        ValueError: when no reader has this name; the message lists the known ones.
    """
    if name not in list_readers():
        raise ValueError(f"there is no reader named {name!r}; known: {', '.join(list_readers())}")
    params: BaseParams = TypeAdapter(ReaderParams).validate_python({"name": name})
    return params.build()
