"""Names of feature streams. They name folders, files and network inputs, so they are plain identifiers."""

from typing import Annotated

from pydantic import AfterValidator, Field

VIDEO = "video"  # the picture stream, whose encoder pretraining trains
_TAKEN = ("text_encoder",)  # names of other files in the folder of encoders


def _refuse_taken(name: str) -> str:
    if name in _TAKEN:
        raise ValueError(f"a stream cannot be called {name!r}; choose another name")
    return name


def _refuse_repeated(names: tuple[str, ...]) -> tuple[str, ...]:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"streams must differ, got {', '.join(repeated)} more than once")
    return names


StreamName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$"), AfterValidator(_refuse_taken)]
StreamNames = Annotated[tuple[StreamName, ...], Field(min_length=1), AfterValidator(_refuse_repeated)]


def name_encoder(stream: str) -> str:
    """Return the name of the exported encoder of a stream."""
    return f"encoder_{stream}"


def name_features(stream: str) -> str:
    """Return the input name of an exported model for the features of a stream."""
    return f"features_{stream}"
