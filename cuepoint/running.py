"""Execution of a command: its streams, its environment, and the translation of errors into one message and an exit code."""

import contextlib
import errno
import io
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

from cuepoint.texts import to_printable

FAILED, USAGE, SOME_LEFT_OUT, INTERRUPTED, BROKEN_PIPE = 1, 2, 3, 130, 141
NOT_FOUND, UNSURE = 4, 5  # of `cuepoint search --exit-code`
PREFECT_PORT = 4200
_DISK_IS_GONE = (errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ENOTCONN)


def run(command: Callable[[], int], *, name: str) -> int:
    """Run a command and return its exit code; an expected error prints one message on stderr, without a traceback."""
    _prepare_environment()
    warnings.showwarning = _show_warning
    try:
        code = command()
        sys.stdout.flush()
    except BrokenPipeError:
        _close_stdout()
        return BROKEN_PIPE
    except KeyboardInterrupt:
        say_error(name, "interrupted; run it again to resume")
        return INTERRUPTED
    except Exception as error:
        from pipeline.entry import describe_error

        message = describe_error(error)
        if message is None:
            raise
        say_error(name, message + _find_remedy(error))
        return FAILED
    return code


def _find_remedy(error: Exception) -> str:
    """Return the remedy for a disk error, because the message of the system has none."""
    number = error.errno if isinstance(error, OSError) else None
    if number in _DISK_IS_GONE:
        return "; connect its disk"
    return "; check the permissions of this user" if number in (errno.EACCES, errno.EPERM) else ""


def say_error(name: str, message: str) -> None:
    """Print an error of a command."""
    say(f"{name}: error: {message}")


def say(message: str) -> None:
    """Print a message on stderr, with terminal control characters escaped."""
    with contextlib.suppress(BrokenPipeError):
        print(to_printable(message, keep="\n\t"), file=sys.stderr, flush=True)


def become(command: list[str], *, package: str, **variables: str) -> int:
    """Replace this process with a program, which receives the signals and sets the exit code.

    Raises:
        ModuleNotFoundError: when the package of the program is not installed.
    """
    require_package(package)
    sys.stdout.flush()
    os.execve(command[0], command, {**os.environ, **variables})


def require_package(package: str) -> None:
    """Require an installed package.

    Raises:
        ModuleNotFoundError: naming the missing package.
    """
    if not has_package(package):
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)


def has_package(package: str) -> bool:
    """Tell whether a package is installed, without importing it."""
    from importlib.util import find_spec

    if package in sys.modules:
        return sys.modules[package] is not None
    return find_spec(package) is not None


def find_prefect_url(port: int, environment: Mapping[str, str] = os.environ) -> str:
    """Return `PREFECT_API_URL`, or the address of the server that `cuepoint server` starts."""
    return environment.get("PREFECT_API_URL") or f"http://127.0.0.1:{port}/api"


def prepare_streams() -> None:
    """Escape characters that the encoding of a stream lacks; Python would raise an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _prepare_environment() -> None:
    """Set the same variables as the Makefile: no telemetry, sleeping threads, this Python on the path, Prefect's folder."""
    from pipeline.entry import TELEMETRY_OFF

    folder, path = str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)
    if folder not in path.split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([folder, path])
    defaults = {
        **TELEMETRY_OFF,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "OMP_WAIT_POLICY": "PASSIVE",
        "PREFECT_HOME": str(Path(".cache/prefect").absolute()),
    }
    for variable, value in defaults.items():
        os.environ.setdefault(variable, value)


def make_prefect_home() -> None:
    """Make the folder of Prefect, which Prefect itself makes only if its parent exists."""
    Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)


def _close_stdout() -> None:
    """Point stdout at the null device, because Python flushes it again at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    say(f"warning: {message}")
