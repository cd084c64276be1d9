"""Lock of published files: the sha256 of each at its first fetch. Later fetches must give the same bytes."""

from pathlib import Path

from corpus.files import read_json, sha256_file, write_json

LOCK = "models.lock.json"


class ModelLock:
    """The hashes of fetched files by model and file name, in one JSON file that belongs under version control."""

    def __init__(self, path: Path) -> None:
        """Read the file; it may be missing.

        Raises:
            ValueError: naming the file, when it is not a lock.
        """
        self._path = path
        self._hashes: dict[str, dict[str, str]] = read_json(path) if path.is_file() else {}
        if not isinstance(self._hashes, dict) or not all(isinstance(files, dict) for files in self._hashes.values()):
            raise ValueError(f"{path} is not a lock of models: it must map each model to its files and their sha256")

    def verify(self, model: str, path: Path, *, name: str | None = None) -> None:
        """Compare a file with the record of its name, or of another `name`, and record a new file.

        Raises:
            ValueError: naming the file and both hashes, when they differ.
        """
        found, files = sha256_file(path), self._hashes.setdefault(model, {})
        expected = files.get(name or path.name)
        if expected == found:
            return
        if expected is not None:
            raise ValueError(
                f"{path} has the sha256 {found}, but {self._path} records {expected}: it is damaged, or another file was "
                f"published under its name; delete it and fetch it again, or, if you trust it, delete its line in {self._path}"
            )
        files[name or path.name] = found
        write_json(self._path, self._hashes)
