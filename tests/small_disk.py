"""Real faults for tests: a disk of a few megabytes that fills up, and a limit on the size of files."""

import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from pipeline.entry import TELEMETRY_OFF

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A separate file system in memory."""

    path: Path

    @property
    def _ballast(self) -> Path:
        return self.path / "ballast"

    @property
    def free_bytes(self) -> int:
        """The free room in bytes."""
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def fill(self, *, leaving: int) -> None:
        """Fill the disk except for `leaving` bytes, in whole pages."""
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, self.free_bytes - leaving)

    def free_space(self) -> None:
        """Free the room again."""
        self._ballast.unlink()


def run_program(
    folder: Path, *command: str, file_bytes: int | None = None, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder with this checkout's code, with files of at most `file_bytes`, and return its result."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW_", "CUEPOINT_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])

    def limit() -> None:
        if file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, resource.RLIM_INFINITY))

    env = {**kept, **TELEMETRY_OFF, "PATH": path, "PYTHONPATH": str(ROOT), **(environment or {})}
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, check=False, preexec_fn=limit, timeout=300
    )
