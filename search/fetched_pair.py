"""Records of a published pair in the manifest of a bundle that searches without a training."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from corpus.params import Params

PAIR = "pair"  # the model of a manifest that is a fetched one
INT8 = "-int8"  # ends the name of a pair with towers of 8-bit weights


class FetchedPair(Params):
    """What people should know of the pair; its name and revision are the manifest's model `PAIR`.

    The name is that of the preset, with `INT8` behind it where a tower has 8-bit weights.
    """

    good_for: str  # a sentence about what the pair finds and what it does not
    licence: str | None
    int8_cosines: Mapping[str, float] = Field(default={})  # tower -> smallest cosine with its 32-bit form; none: no int8


def name_fetch(name: str) -> str:
    """Return the command that fetches the model of a folder of data/models/."""
    preset = name.removesuffix(INT8)
    return f"cuepoint models fetch {preset}" + (" --int8 --calibrate FOLDER" if name.endswith(INT8) else "")


def find_remedy(manifest: Any, otherwise: str) -> str:
    """Return the command that makes a bundle anew: of the JSON value of a manifest, which need not be valid."""
    models = manifest.get("models") if isinstance(manifest, dict) else None
    model = models.get(PAIR) if isinstance(models, dict) else None
    name = model.get("name") if isinstance(model, dict) else None
    return name_fetch(name) if isinstance(name, str) else otherwise
