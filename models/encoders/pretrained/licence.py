"""Licence of a published network, read from its folder, and the consent that a non-commercial licence needs."""

import re
from pathlib import Path

import yaml

_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
# apple-amlr, the Apple Machine Learning Research Model licence agreement, allows use only for research.
_NON_COMMERCIAL = re.compile(r"(?:^|[^a-z])nc(?:[^a-z]|$)|non-?\s?commercial|research[- ]only|apple-amlr", re.IGNORECASE)


def read_licence(folder: Path) -> str | None:
    """Return the licence in the front matter of README.md, otherwise the first line of a LICENSE file, if any."""
    return _read_front_matter(folder / "README.md") or _read_first_line(folder)


def require_stated(found: str | None, *, stated: str | None, source: str) -> None:
    """Compare the licence of a source with the licence in the preset.

    Raises:
        ValueError: when they differ.
    """
    if found is not None and stated is not None and found != stated:
        raise ValueError(
            f"{source} is under the licence {found!r}, but the preset states licence: {stated!r}; correct the preset"
        )


def require_consent(licence: str | None, *, accepted: bool, source: str) -> None:
    """Refuse a licence that forbids commercial use until the preset accepts it.

    Raises:
        ValueError: naming the licence, what it forbids and the value that accepts it.
    """
    if licence is not None and not accepted and _NON_COMMERCIAL.search(licence):
        raise ValueError(
            f"{source} is under the licence {licence!r}, which forbids commercial use; "
            "if your use is allowed, set accept_licence: true in the preset"
        )


def _read_front_matter(path: Path) -> str | None:
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    block = _FRONT_MATTER.match(text)
    if block is None:
        return None
    try:
        values = yaml.safe_load(block[1])
    except yaml.YAMLError:  # third-party text; a malformed one states no licence
        return None
    if not isinstance(values, dict):
        return None
    licence = values.get("license")
    name = values.get("license_name") if licence == "other" else None
    return str(name or licence) if licence else None


def _read_first_line(folder: Path) -> str | None:
    for path in sorted(folder.glob("LICENSE*")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.strip():
                return line.strip()
    return None
