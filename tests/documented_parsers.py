"""Reads documented commands with the parsers of their programs: sub-commands, options, overrides, presets, files."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import yaml
from dvc.cli.parser import get_main_parser
from dvc.utils.cli_parse import to_path_overrides
from dvc.utils.hydra import apply_overrides

from corpus.readers import list_readers
from cuepoint.__main__ import build_parser
from cuepoint.commands import judging
from documented_commands import ROOT, fill
from evaluation.scoring import command as scoring
from pipeline.components.loading import load_component, load_features, require_presets
from pipeline.components.trained import load_trained
from pipeline.entry import TELEMETRY_OFF
from pipeline.params import load_params

EXAMPLES = frozenset({"middle_third", "lines"})  # components that pages show how to write
ROLES = frozenset({"retriever", "localizer", "blind"})
SLOTS = ROLES | {"encoder", "text_encoder", "objective"}
TREES = ("presets/", "tests/", "docs/", "models/", "corpus/", "stages/")
SYSTEM = frozenset({"cd", "cp", "curl", "docker", "echo", "export", "git", "mkdir", "mv", "sha256sum", "source", "unzip"})


def check_words(words: list[str]) -> None:
    """Refuse a command that its program would refuse; programs of the system are looked at when they run.

    Raises:
        ValueError: for a program without a parser here.
        SystemExit: of a parser that refuses the command.
    """
    if not words or words[0] in SYSTEM:
        return
    if words[0] not in PARSERS:
        raise ValueError(f"no parser for the program {words[0]!r}; add it to PARSERS in {Path(__file__).name}")
    PARSERS[words[0]]([fill(word) for word in words[1:]])


def check_files(words: list[str]) -> None:
    """Refuse a command that names a file of the repository which does not exist; the target of a copy need not.

    Raises:
        ValueError: naming the file.
    """
    sources = words[:-1] if words[:1] in (["cp"], ["mv"]) else words
    for word in sources:
        path = word.partition(":")[0]
        if path.startswith(TREES) and not Path(path).exists():
            raise ValueError(f"{path} does not exist")


def _check_cuepoint(arguments: list[str]) -> None:
    parser = build_parser()
    if arguments[0] in judging.COMMANDS:
        build = scoring._build_compare_parser if arguments[0] == "compare" else scoring._build_score_parser
        parser, arguments = build(), arguments[1:]
    try:
        parser.parse_args(arguments)
    except SystemExit as end:
        if end.code:  # 0 after --help
            raise


def _check_dvc(arguments: list[str]) -> None:
    options = get_main_parser().parse_args(arguments)
    stages = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    if options.cmd == "repro" or arguments[:2] == ["exp", "run"]:
        unknown = {target.partition("@")[0] for target in options.targets} - set(stages)
        if unknown:
            raise ValueError(f"dvc.yaml has no stage {', '.join(sorted(unknown))}")
    if arguments[:2] == ["exp", "run"]:
        compose(options.set_param or [])


def compose(overrides: list[str]) -> None:
    """Write overrides into params.yaml and presets of the working folder as DVC does, and read both by their schemas.

    Raises:
        ValueError: naming a key, a value or a preset that does not exist.
        DvcException: for an override that its file does not take.
    """
    by_file = to_path_overrides(overrides)
    for path, values in by_file.items():
        apply_overrides(path, values)
    params = load_params()
    if params.corpus.reader not in {*list_readers(), *EXAMPLES}:
        raise ValueError(f"there is no reader {params.corpus.reader!r}")
    if params.train.models.localizer not in EXAMPLES:
        require_presets(params)
    load_features(params.corpus.features)
    chosen = {"text_encoder": params.pretrain.text_encoder, "objective": params.pretrain.objective} | dict(params.train.models)
    streams = [("encoder", preset) for preset in params.pretrain.streams.values()]
    for slot, preset in [*streams, *chosen.items(), *_list_presets(by_file)]:
        if preset not in EXAMPLES:
            (load_trained if slot in ROLES else load_component)(slot, preset)


def _list_presets(paths: "dict[str, list[str]]") -> list[tuple[str, str]]:
    presets = [Path(path) for path in paths if path.startswith("presets/")]
    return [(path.parent.name, path.stem) for path in presets if path.parent.name in SLOTS]


def _check_make(arguments: list[str]) -> None:
    content = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in arguments:
        name, is_variable, _ = word.partition("=")
        if is_variable and f"\n{name} ?=" not in content:
            raise ValueError(f"the Makefile has no variable {name}")
    done = subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr)


def _check_python(arguments: list[str]) -> None:
    if arguments[0] == "-m":
        if find_spec(arguments[1]) is None:
            raise ValueError(f"there is no module {arguments[1]}")
    elif arguments[0] != "-c" and not (ROOT / arguments[0]).is_file():
        raise ValueError(f"there is no file {arguments[0]}")


def _check_bentoml(arguments: list[str]) -> None:
    _check_help([sys.executable, "-m", "bentoml", arguments[0]], arguments)


def _check_hf(arguments: list[str]) -> None:
    _check_help([str(Path(sys.executable).with_name("hf")), arguments[0]], arguments)


def _check_help(command: list[str], arguments: list[str]) -> None:
    """Look for each option in the help of a program that reads its command line itself."""
    quiet = {**os.environ, **TELEMETRY_OFF, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True, env=quiet)
    for word in arguments:
        if word.startswith("-") and word not in done.stdout:
            raise ValueError(f"{' '.join(command[-2:])} has no option {word}")


def _check_pytest(arguments: list[str]) -> None:
    for word in arguments:
        if not word.startswith("-") and not (ROOT / word).exists():
            raise ValueError(f"there is no test {word}")


def _check_pip(arguments: list[str]) -> None:
    if arguments[0] != "install":
        raise ValueError(f"pip {arguments[0]}: pages only install")


PARSERS: dict[str, Callable[[list[str]], None]] = {
    "cuepoint": _check_cuepoint,
    "dvc": _check_dvc,
    "make": _check_make,
    "python": _check_python,
    "pytest": _check_pytest,
    "bentoml": _check_bentoml,
    "hf": _check_hf,
    "pip": _check_pip,
}
