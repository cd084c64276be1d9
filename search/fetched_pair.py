"""Records of a published pair in the manifest of a bundle that searches without a training."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from corpus.params import Params

PAIR = "pair"  # key of the fetched model in a manifest
INT8 = "-int8"  # ends the name of a pair with towers of 8-bit weights


class FetchedPair(Params):
    """Facts of a fetched pair for people; the manifest's model `PAIR` holds its name and revision.

    The name is the preset's, followed by `INT8` if a tower has 8-bit weights.
    """

    good_for: str  # a sentence about what the pair finds and what it does not
    licence: str | None
    int8_cosines: Mapping[str, float] = Field(default={})  # tower -> smallest cosine with its 32-bit form; none: no int8


def name_fetch(name: str) -> str:
    """Return the command that fetches the model of a folder of data/models/."""
    preset = name.removesuffix(INT8)
    return f"cuepoint models fetch {preset}" + (" --int8 --calibrate FOLDER" if name.endswith(INT8) else "")


def find_remedy(manifest: Any, otherwise: str) -> str:
    """Return the command that rebuilds the bundle of a manifest, a JSON value that need not be valid."""
    models = manifest.get("models") if isinstance(manifest, dict) else None
    model = models.get(PAIR) if isinstance(models, dict) else None
    name = model.get("name") if isinstance(model, dict) else None
    return name_fetch(name) if isinstance(name, str) else otherwise
