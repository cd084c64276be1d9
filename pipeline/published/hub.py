"""Files of a model on a hub: fetched by huggingface_hub, which resumes interrupted downloads, and verified against the lock."""

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from models.encoders.pretrained.licence import require_consent
from pipeline.published.lock import ModelLock
from pipeline.published.presets import HubPair

_NEWEST, _HUB_NOTES = "main", Path(".cache/huggingface")  # notes of huggingface_hub about the files in a folder

Say = Callable[[str], None]


def fetch_repository(name: str, preset: HubPair, *, lock: ModelLock, say: Say, endpoint: str | None = None) -> Path:
    """Fetch the files that a preset's component reads into the preset's folder, and return the folder.

    Files that you copied stay as they are. Fetched files are compared with the hub, or used as they are if the hub does not
    answer.

    Raises:
        FileNotFoundError: when the hub does not answer or lacks the files, with the files to copy and their folder.
        ValueError: when the preset names no repository or does not accept its licence, or a file differs from the lock.
    """
    require_consent(preset.licence, accepted=preset.accept_licence, source=preset.repository or name)
    folder, files = Path(preset.source), preset.files
    is_there = all(list_files(folder, [pattern]) for pattern in preset.needed)
    if is_there and not (folder / _HUB_NOTES).is_dir():
        say(f"using the files in {folder}")
    else:
        _download(name, preset, say=say, endpoint=endpoint, is_there=is_there)
    found = list_files(folder, files)
    missing = [pattern for pattern in preset.needed if not list_files(folder, [pattern])]
    if missing:  # huggingface_hub accepts an incomplete folder if the hub is out of reach
        raise FileNotFoundError(
            f"{folder} has no {', '.join(missing)} after fetching {preset.repository}: the hub is out of reach, or the preset "
            f"{name} names another kind of repository; copy these files, or run on a machine that reaches the hub: "
            f"cuepoint models fetch {name}"
        )
    for path in found:
        lock.verify(name, path, name=path.relative_to(folder).as_posix())
    return folder


def list_files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Return the files below a folder that match a pattern, in the syntax of the hub: `*` spans folders."""
    names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    kept = list(patterns)
    return [
        path
        for name, path in sorted(names.items())
        if not name.startswith(".") and any(fnmatchcase(name, pattern) for pattern in kept)
    ]


def _download(name: str, preset: HubPair, *, say: Say, endpoint: str | None, is_there: bool) -> None:
    folder, files = Path(preset.source), preset.files
    if preset.repository is None:
        raise ValueError(f"the preset {name} names no repository to fetch; copy {', '.join(files)} of the model to {folder}/")
    from huggingface_hub import snapshot_download

    say(f"fetching {preset.repository} ({preset.licence or 'the preset states no licence'}) into {folder}")
    revision = preset.revision or _NEWEST
    try:
        snapshot_download(preset.repository, revision=revision, local_dir=folder, allow_patterns=list(files), endpoint=endpoint)
    except (OSError, ValueError) as error:  # no network, no such repository or revision
        reason = f"cannot fetch {preset.repository} at {revision} from the hub: {str(error).splitlines()[0]}"
        if is_there:
            say(f"{reason}; using the files in {folder}")
            return
        raise FileNotFoundError(
            f"{reason}; without the hub, copy {', '.join(files)} of the model from another machine to {folder}/"
        ) from error
