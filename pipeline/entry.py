"""Entry point of every stage: process care, telemetry off, checks of its code, record of its cost, and actionable errors."""

import os
import sys
import warnings
from collections.abc import Callable, Sequence

from pipeline.disk.commit_room import require_room_to_commit
from pipeline.disk.disk_room import describe_no_room
from pipeline.executors.process import AlreadyRunningError, die_with_parent, hold_lock
from pipeline.executors.slot import hold_slot
from pipeline.identity import find_run, list_runs, require_recorded
from pipeline.params import load_params
from pipeline.paths import IDENTITY, find_cache_dir
from pipeline.timings import record_timing

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
    "dvc": "train",
    "dvc_data": "train",
    "sklearn": "train",
    "pyarrow": "train",
    "pytorch_metric_learning": "train",
    "threadpoolctl": "train",
    "lemminflect": "train",
    "onnxscript": "train",
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
    "rich": "serve",
    "fastapi": "serve",
    "starlette": "serve",
    "prometheus_client": "serve",
    "python_multipart": "serve",
    "pymilvus": "milvus",
    "tokenizers": "text",
    "ftfy": "text",
    "transformers": "text",
    "prefect": "orchestrate",
    "sqlalchemy": "orchestrate",
}


def describe_missing_module(error: ModuleNotFoundError) -> str:
    """Return a message with the extra of a missing package and the command that installs it."""
    package = (error.name or "").partition(".")[0]
    extra = _EXTRA_OF.get(package)
    if extra is None:
        return f"the package {package!r} is not installed; run: make setup"
    return f"the package {package!r} is not installed; it comes with the extra {extra!r}; run: pip install 'cuepoint[{extra}]'"


def run_main(main: Callable[[], None], *, name: str) -> None:
    """Run a program's `main`; an expected error ends it with one message on stderr and exit code 1, without a traceback."""
    for variable, value in TELEMETRY_OFF.items():
        os.environ.setdefault(variable, value)
    warnings.showwarning = _show_warning
    try:
        main()
    except KeyboardInterrupt:
        _fail(name, "interrupted; run it again to resume", code=130)
    except Exception as error:
        message = describe_error(error)
        if message is None:
            raise
        _fail(name, message)


def describe_error(error: Exception) -> str | None:
    """Return the message of an expected error; None for an error with traceback, which CUEPOINT_TRACEBACK sets for all."""
    if isinstance(error, ModuleNotFoundError):
        return describe_missing_module(error)
    if os.environ.get("CUEPOINT_TRACEBACK"):
        return None
    return describe_no_room(error) or _describe_foreseen(error)


def _describe_foreseen(error: Exception) -> str | None:
    if isinstance(error, KeyError):
        return str(error.args[0])
    return str(error) if isinstance(error, ValueError | OSError | AlreadyRunningError) else None


def run_stage(main: Callable[[], None], *, name: str, usage: str = "", slots: Sequence[str] = ()) -> None:
    """Run a stage as its only process: refuse a second process, and end with the `dvc` that started it.

    The stage refuses to start if its code differs from the record in data/identity/. Under DVC, it fails if its outputs do
    not fit into DVC's cache. `--help` only prints the purpose of the stage and the components of its slots.
    `usage` names the arguments of the stage; other arguments are refused.
    """
    given = sys.argv[1:]
    if {"-h", "--help"} & set(given):
        run_main(lambda: print(_describe_stage(main, name.partition("-")[0], usage, slots)), name=name)
        return
    if given and not usage:
        stage = f"python -m stages.{name}"
        _fail(name, f"{stage} takes no arguments, got {' '.join(given)}; set its values in params.yaml", code=2)

    def checked() -> None:
        params, run = load_params().model_dump(by_alias=True), find_run(name)
        if run in list_runs(params):  # `identity` has no record, and `main` refuses an unknown role
            require_recorded(run, IDENTITY, params)
        main()

    run_alone(checked, name=name)


def run_alone(main: Callable[[], None], *, name: str) -> None:
    """Run a program as the only process of its name in this checkout; see `run_stage`, which also checks the code.

    A stage that computes on a device also holds the slot of the device, and waits for it.
    """
    die_with_parent()
    dvc_stage = os.environ.get("DVC_STAGE", "")

    def guarded() -> None:
        lock = find_cache_dir() / "locks" / f"{name}.lock"
        alone = hold_lock(lock, what=f"stage {name}", wait_s=_ORPHAN_S)
        with alone, hold_slot(name), record_timing(dvc_stage or name):
            main()
            if dvc_stage:
                require_room_to_commit(dvc_stage)

    run_main(guarded, name=name)


def _describe_stage(main: Callable[[], None], stage: str, usage: str, slots: Sequence[str]) -> str:
    from pipeline.components.listing import describe_slots

    purpose = main.__globals__["__doc__"].partition("\n")[0]
    lines = [f"usage: python -m stages.{stage} {usage}".rstrip(), purpose, "Its values are in params.yaml and presets/."]
    return "\n\n".join([*lines, *([describe_slots(slots)] if slots else [])])


def _fail(name: str, message: str, *, code: int = 1) -> None:
    print(f"{name}: error: {message}", file=sys.stderr)
    sys.exit(code)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"warning: {message}", file=sys.stderr)
