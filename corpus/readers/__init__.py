"""The registry of annotation readers; with a second one it becomes a union discriminated by `name`."""

from pydantic import TypeAdapter, ValidationError

from corpus.readers.base import Reader
from corpus.readers.folder import FolderReaderParams

ReaderParams = FolderReaderParams


def build_reader(name: str) -> Reader:
    """Return the reader of this name.

    Raises:
        ValueError: when there is none, naming those there are.
    """
    try:
        return TypeAdapter(ReaderParams).validate_python({"name": name}).build()
    except ValidationError as error:
        raise ValueError(f"there is no reader named {name!r}: {error.errors()[0]['msg']}") from error
