"""Error for files that are not readable videos."""

from pathlib import Path


class UndecodableError(ValueError):
    """A file is not a readable video; the message gives the reason."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"
