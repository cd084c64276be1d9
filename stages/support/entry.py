"""How every stage starts: process care, telemetry off, its cost on record, and errors a person can act on."""

import os
import sys
import warnings
from collections.abc import Callable, Sequence

from stages.support.commit_room import require_room_to_commit
from stages.support.disk_room import describe_no_room
from stages.support.paths import find_cache_dir
from stages.support.process import AlreadyRunningError, die_with_parent, hold_lock
from stages.support.timings import record_timing

TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "BENTOML_DO_NOT_TRACK": "True",
}
_ORPHAN_S = 8.0  # the stage of a killed `dvc` is gone by then
_EXTRA_OF = {
    "torch": "train",
    "h5py": "train",
    "pytorch_lightning": "train",
    "mlflow": "train",
    "great_expectations": "train",
    "pandas": "train",
    "cv2": "train",
    "matplotlib": "train",
    "jinja2": "train",
    "onnx": "train",
    "scipy": "train",
    "onnxruntime": "serve",
    "faiss": "serve",
    "bentoml": "serve",
    "PIL": "serve",
    "rich": "serve",
    "prefect": "orchestrate",
}


def describe_missing_module(error: ModuleNotFoundError) -> str:
    """Name the extra that brings a missing package, and the command that installs it."""
    package = (error.name or "").partition(".")[0]
    extra = _EXTRA_OF.get(package)
    if extra is None:
        return f"the package {package!r} is not installed; run: make setup"
    return f"the package {package!r} is not installed; it comes with the extra {extra!r}; run: uv pip install -e '.[{extra}]'"


def run_main(main: Callable[[], None], *, name: str) -> None:
    """Run a program's `main`: foreseen errors end it with one message on stderr and exit code 1, without a traceback."""
    for variable, value in TELEMETRY_OFF.items():
        os.environ.setdefault(variable, value)
    warnings.showwarning = _show_warning
    try:
        main()
    except ModuleNotFoundError as error:
        _fail(name, describe_missing_module(error))
    except KeyboardInterrupt:
        _fail(name, "interrupted; run it again to go on", code=130)
    except Exception as error:
        message = describe_no_room(error) or _describe_foreseen(error)
        if message is None or os.environ.get("CUEPOINT_TRACEBACK"):
            raise
        _fail(name, message)


def _describe_foreseen(error: Exception) -> str | None:
    """Return the message of an error that needs no traceback."""
    if isinstance(error, KeyError):
        return str(error.args[0])
    return str(error) if isinstance(error, ValueError | OSError | AlreadyRunningError) else None


def run_stage(main: Callable[[], None], *, name: str, usage: str = "", slots: Sequence[str] = ()) -> None:
    """Run a stage as its only process: a second one is refused, and it ends with the `dvc` that started it.

    A stage that DVC runs fails when what it made does not fit into DVC's cache. `--help` runs nothing: it prints what the
    stage does and the components of its slots. `usage` names the arguments that a stage takes; any other one is refused.
    """
    given = sys.argv[1:]
    if {"-h", "--help"} & set(given):
        run_main(lambda: print(_describe_stage(main, name.partition("-")[0], usage, slots)), name=name)
        return
    if given and not usage:
        stage = f"python -m stages.{name}"
        _fail(name, f"{stage} takes no arguments, got {' '.join(given)}; its values stand in params.yaml", code=2)
    die_with_parent()
    dvc_stage = os.environ.get("DVC_STAGE", "")

    def guarded() -> None:
        lock = find_cache_dir() / "locks" / f"{name}.lock"
        with hold_lock(lock, what=f"stage {name}", wait_s=_ORPHAN_S), record_timing(dvc_stage or name):
            main()
            if dvc_stage:
                require_room_to_commit(dvc_stage)

    run_main(guarded, name=name)


def _describe_stage(main: Callable[[], None], stage: str, usage: str, slots: Sequence[str]) -> str:
    from stages.support.choices import describe_slots

    purpose = main.__globals__["__doc__"].partition("\n")[0]
    lines = [f"usage: python -m stages.{stage} {usage}".rstrip(), purpose, "Its values stand in params.yaml and presets/."]
    return "\n\n".join([*lines, *([describe_slots(slots)] if slots else [])])


def _fail(name: str, message: str, *, code: int = 1) -> None:
    print(f"{name}: error: {message}", file=sys.stderr)
    sys.exit(code)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"warning: {message}", file=sys.stderr)
