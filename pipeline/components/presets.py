"""Paths of presets: `presets/<slot>/<preset>.yaml` holds the values of one component."""

from pathlib import Path

PRESETS = Path("presets")
NO_OBJECTIVE = "none"  # the preset of the objective with a pair of encoders, which learns nothing


def preset_path(slot: str, name: str) -> Path:
    """Return the file that holds a component's values."""
    return PRESETS / slot / f"{name}.yaml"
