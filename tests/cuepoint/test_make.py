"""Values reach the commands through make as typed, or make ends with an error that names another form."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = f"""#!{sys.executable}
import json, os, sys
print(json.dumps([os.fsencode(word).decode('latin-1') for word in sys.argv[1:]]))
sys.exit(int(os.environ.get("EXIT", "0")))
"""
VALUES = [
    "the $red circle",
    "costs $5",
    "$$ and $(shell touch made) and ${HOME} and $",
    "~/videos",
    'say "hi" it\'s `id` \\ \\\\',
    "a # b % c ; d & e | f > g * ? ! {x}",
    "two\nlines\n",
    "-x",
    "--help",
    "trailing  ",
    "  inner  blanks",
    "naïve 日本語 עברית 👩🏽\u200d🚀 e\u0301",
    "VIDEOS=other",
    "a:=b",
    "@echo",
]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder with the Makefile of this checkout, and a `cuepoint` that prints its arguments."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    program = tmp_path / ".venv" / "bin" / "cuepoint"
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM)
    program.chmod(0o755)
    (tmp_path / ".venv" / ".installed").touch()
    return tmp_path


def run(checkout: Path, *arguments: str | bytes, **variables: str) -> "subprocess.CompletedProcess[str]":
    names = (
        "MAKEFLAGS",
        "MAKELEVEL",
        "MFLAGS",
        "QUERY",
        "VIDEOS",
        "INDEX",
        "K",
        "PORT",
        "SHARE",
        "CRON",
        "CHALLENGER",
        "TIMEZONE",
    )
    kept = {name: value for name, value in os.environ.items() if name not in names}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=checkout, env=kept | variables, capture_output=True, text=True, check=False)


def read(done: "subprocess.CompletedProcess[str]") -> list[str]:
    assert done.returncode == 0, done.stderr
    return [word.encode("latin-1").decode() for word in json.loads(done.stdout)]


@pytest.mark.parametrize("value", VALUES)
def test_a_value_of_the_command_line_arrives_unchanged(checkout: Path, value: str) -> None:
    if value.startswith(" "):
        pytest.skip("make cuts blanks off the start of a value of its command line")
    expected = ["search", "--top-k=5", f"--index={value}", "--", value]
    assert read(run(checkout, "search", f"QUERY={value}", f"INDEX={value}")) == expected
    assert read(run(checkout, "index", f"VIDEOS={value}")) == ["index", "--", value]
    assert not (checkout / "made").exists()


@pytest.mark.parametrize("value", VALUES)
def test_a_value_of_the_environment_arrives_unchanged(checkout: Path, value: str) -> None:
    expected = ["index", f"--output={value}", "--", value]
    assert read(run(checkout, "index", VIDEOS=value, INDEX=value)) == expected
    assert not (checkout / "made").exists()


def test_every_other_value_arrives_unchanged(checkout: Path) -> None:
    value = "$(shell touch made) `touch made` $$; touch made #"
    assert read(run(checkout, "search", "QUERY=a", f"K={value}"))[1] == f"--top-k={value}"
    served = read(run(checkout, "serve", f"PORT={value}", f"CHALLENGER={value}", f"SHARE={value}"))
    assert served == ["serve", f"--port={value}", f"--challenger={value}", f"--share={value}"]
    assert read(run(checkout, "ui", f"UI_PORT={value}")) == ["ui", f"--port={value}"]
    assert read(run(checkout, "server", f"PREFECT_PORT={value}")) == ["server", f"--port={value}", "--runs-port=5000"]
    assert read(run(checkout, "worker", f"PREFECT_PORT={value}")) == ["worker", f"--server-port={value}"]
    deployed = read(run(checkout, "deploy", f"CRON={value}", f"TIMEZONE={value}", f"WATCH_MINUTES={value}"))
    assert deployed[2:] == [f"--cron={value}", f"--timezone={value}", f"--watch-minutes={value}"]
    assert not (checkout / "made").exists()


def test_the_defaults_are_those_of_the_help(checkout: Path) -> None:
    assert read(run(checkout, "serve")) == ["serve", "--port=3000"]
    times = ["--cron=0 3 * * *", "--timezone=UTC", "--watch-minutes=60"]
    assert read(run(checkout, "deploy")) == ["deploy", "--server-port=4200", *times]
    for target in ("repro", "bench", "status", "challenger"):
        assert read(run(checkout, target)) == [target]


def test_a_name_that_is_not_utf_8_arrives_byte_by_byte(checkout: Path) -> None:
    done = run(checkout, "index", b"VIDEOS=a\xff\xe9$b")
    assert json.loads(done.stdout) == ["index", "--", "a\xff\xe9$b"]


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="the system does not show the command line of make")
@pytest.mark.parametrize("argument", ["VIDEOS= a", "VIDEOS=\ta", "VIDEOS = a", "INDEX=\n a"])
def test_blanks_that_make_cuts_are_refused_with_another_form(checkout: Path, argument: str) -> None:
    done = run(checkout, "index", "VIDEOS=x", argument)
    assert (done.returncode, done.stdout) == (2, "")
    assert "make cuts the blanks off the start of VIDEOS and INDEX; use the command: cuepoint index" in done.stderr


@pytest.mark.parametrize("assignment", [":=", "::="])
def test_an_assignment_that_expands_is_refused(checkout: Path, assignment: str) -> None:
    done = run(checkout, "index", f"VIDEOS{assignment}a$b")
    assert (done.returncode, done.stdout) == (2, "")
    assert "VIDEOS was set with := or ::=, so make has expanded it; write VIDEOS='...'" in done.stderr


def test_a_make_inside_a_make_passes_values_on(checkout: Path) -> None:
    (checkout / "outer.mk").write_text("all:\n\t@$(MAKE) --no-print-directory -f Makefile search\n")
    assert read(run(checkout, "-f", "outer.mk", "QUERY=the $red 'circle'"))[-1] == "the $red 'circle'"


@pytest.mark.parametrize(("target", "example"), [("index", "VIDEOS=/path/to/folder"), ("search", 'QUERY="the red circle')])
def test_a_missing_value_names_the_form(checkout: Path, target: str, example: str) -> None:
    done = run(checkout, target)
    assert (done.returncode, done.stdout) == (2, "")
    assert example in done.stderr


@pytest.mark.parametrize("code", [1, 3, 130])
def test_make_fails_with_the_command_and_names_its_code(checkout: Path, code: int) -> None:
    done = run(checkout, "index", "VIDEOS=a", EXIT=str(code))
    assert done.returncode == 2
    assert f"Error {code}" in done.stderr
