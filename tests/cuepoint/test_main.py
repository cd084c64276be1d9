"""The program: help, version, exit codes and streams."""

import errno
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cuepoint import running
from cuepoint.__main__ import build_parser, main

if TYPE_CHECKING:
    from conftest import Cuepoint

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "dvc", "mlflow", "bentoml", "prefect", "faiss", "onnxruntime", "numpy", "pydantic", "rich", "av")
COMMANDS = (
    *("index", "search", "serve", "status", "ui", "server", "worker"),
    *("repro", "summary", "bench", "models", "corpus", "deploy", "challenger", "doctor"),
    *("retrain", "gate", "explain", "rollback", "rebuild"),
)


@pytest.mark.parametrize("arguments", ["--help", "--version", "search --help", "serve --help", "corpus probe --help"])
def test_help_loads_no_heavy_package(arguments: str) -> None:
    code = (
        "import sys; from cuepoint.__main__ import main\n"
        "try: main(sys.argv[1:])\n"
        f"except SystemExit as end: print(end.code, sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments.split()], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    printed = capsys.readouterr().out
    for name in (*COMMANDS, "compare", "score"):
        assert f"\n    {name}" in printed


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_examples_that_the_command_line_takes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    examples = [line for line in capsys.readouterr().out.partition("examples:")[2].splitlines() if "cuepoint " in line]
    commands = [line[line.index("cuepoint ") :].partition("   ")[0].partition(" | ")[0] for line in examples]
    assert commands
    for command in commands:
        assert build_parser().parse_args(list(map(os.path.expanduser, shlex.split(command)[1:])))


@pytest.mark.parametrize("name", ["compare", "score"])
def test_the_commands_of_judging_have_help_with_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: cuepoint {name} ")
    assert f"  cuepoint {name} " in printed


@pytest.mark.parametrize(
    "arguments", [[], ["sarch"], ["search"], ["search", "a", "--tok-p"], ["index", ""], ["serve", "--port", "0"]]
)
def test_a_wrong_command_line_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("usage: cuepoint")


@pytest.mark.parametrize(("text", "better"), [("~/videos", '"$HOME/videos"'), ("~nobody-at-all/videos", "~nobody-at-all/videos")])
def test_a_tilde_that_the_shell_did_not_expand_is_refused(
    text: str, better: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main(["index", "videos", f"--output={text}"])
    assert better in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_whose_name_begins_with_a_tilde_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "~").mkdir()
    monkeypatch.chdir(tmp_path)
    assert build_parser().parse_args(["index", "~/videos"]).folder == Path("~/videos")


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == "cuepoint 0.1.0\n"


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def search() -> int:
        raise ModuleNotFoundError("No module named 'faiss'", name="faiss")

    assert running.run(search, name="search") == 1
    remedy = "it comes with the extra 'serve'; run: pip install 'cuepoint[serve]'"
    assert capsys.readouterr().err == f"search: error: the package 'faiss' is not installed; {remedy}\n"


@pytest.mark.parametrize(
    ("arguments", "package", "extra"),
    [
        (["server"], "prefect", "orchestrate"),
        (["worker"], "prefect", "orchestrate"),
        (["deploy"], "prefect", "orchestrate"),
        (["ui"], "mlflow", "train"),
        (["repro"], "dvc", "train"),
    ],
)
def test_a_command_without_its_package_names_the_extra(
    arguments: list[str],
    package: str,
    extra: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "params.yaml").touch()
    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == package or name == "flows.deploy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    assert main(arguments) == 1
    assert f"the package {package!r} is not installed; it comes with the extra {extra!r}" in capsys.readouterr().err


def test_the_pipeline_outside_a_checkout_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in ("repro", "summary", "bench"):
        assert main([command]) == 1
        assert f"{tmp_path} is not a checkout of Cuepoint (it has no params.yaml)" in capsys.readouterr().err


def test_an_unforeseen_error_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        running.run(lambda: 1 // 0, name="search")


@pytest.mark.parametrize(("number", "remedy"), [(errno.EIO, "connect its disk"), (errno.EACCES, "check the permissions")])
def test_an_error_of_a_disk_names_the_remedy(number: int, remedy: str, capsys: pytest.CaptureFixture[str]) -> None:
    def search() -> int:
        raise OSError(number, os.strerror(number), "/stick/index.json")

    assert running.run(search, name="search") == 1
    error = capsys.readouterr().err
    assert "/stick/index.json" in error
    assert remedy in error


def test_a_message_cannot_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    running.say("a\x1b[2J\nb\udcff")
    assert capsys.readouterr().err == "a\\x1b[2J\nb\\udcff\n"


PROGRAM = """
import sys
from cuepoint import running

def work():
    {body}
    return 0

running.prepare_streams()
sys.exit(running.run(work, name="search"))
"""


def start(body: str, **variables: str) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, **variables}
    command = [sys.executable, "-c", PROGRAM.format(body=body)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_reader_that_closes_the_pipe_ends_the_command_silently() -> None:
    process = start("print('\\n'.join(map(str, range(99999))))")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"0\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == running.BROKEN_PIPE
    process.stderr.close()


def test_ctrl_c_ends_with_130_and_one_line() -> None:
    process = start("import time; print('ready', flush=True); time.sleep(600)")
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (130, b"search: error: interrupted; run it again to resume\n")


@pytest.mark.parametrize(
    "variables", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_a_terminal_that_lacks_a_character_gets_its_escape(variables: dict[str, str]) -> None:
    process = start(r"print('\u00fc \u65e5'); running.say('\u00e9')", **variables)
    output, errors = process.communicate()
    assert (process.returncode, output, errors) == (0, b"\\xfc \\u65e5\n", b"\\xe9\n")


def test_probing_prints_json_alone(cuepoint: "Cuepoint", small_models: object) -> None:
    path = small_models.raw / "videos" / "v0.mp4"  # type: ignore[attr-defined]
    done = cuepoint("corpus", "probe", str(path), PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["streams"][0]["codec_name"] == "h264"
