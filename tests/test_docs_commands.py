"""README and docs: their commands run or have a test that runs them, their options, files and links exist."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import pytest

from documented_commands import PAGES, ROOT, Command, list_all, list_commands, list_inline, name_page
from documented_parsers import check_files, check_words
from documented_places import PLACES
from documented_proofs import PROOFS, UNRUN, find_proof, find_reason, has_to_run, list_needed
from kept_cache import kept_cache
from pipeline.entry import TELEMETRY_OFF

RunIn = Callable[..., str]
COMMANDS = list_all()
NAMES = [name_page(page) for page in PAGES]
RUN = [name for name in NAMES if any(map(has_to_run, list_commands(name)))]
TRAINING = tuple(f"docs/{page}.md" for page in ("features", "readouts", "compare_two_ideas", "extending", "readers"))
STARTS_WITH_PROSE = ("README.md",)
TASKS = (
    "search my videos",
    "train on my annotations",
    "compare two ideas",
    "retrain on a schedule",
    "serve for a team",
    "add a component",
    "add a corpus",
    "when something fails",
)


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The choices of this checkout in a separate folder, which is the working folder."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    for name in ("tests", "docs", "models", "corpus", "stages"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "data" / "raw" / "shapes").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 80
    assert len({command.page for command in COMMANDS}) > 20


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_command_is_one_that_its_program_takes(command: Command, copy: Path) -> None:
    for earlier in list_commands(command.page):
        if earlier.words[:1] == ["cp"] and "presets/" in earlier.text and earlier != command:
            subprocess.run(earlier.words, check=True)
    check_words(command.words)
    check_files(command.words)


@pytest.mark.parametrize("command", [one for name in NAMES for one in list_inline(name)], ids=str)
def test_a_command_inside_a_sentence_is_one_that_its_program_takes(command: Command, copy: Path) -> None:
    if len(command.words) > 2 or command.words[0] != "cuepoint":  # `cuepoint index` alone names a command
        check_words(command.words)
    check_files(command.words)


@pytest.mark.parametrize("command", [one for one in COMMANDS if find_proof(one)], ids=str)
def test_a_command_that_is_not_run_here_has_a_test_that_runs_it(command: Command) -> None:
    proof = find_proof(command)
    assert proof is not None
    module = proof.read_module()
    assert f"def {proof.test.partition('::')[2]}(" in module, f"{proof.test} does not exist"
    missing = [word for word in list_needed(command, proof) if not re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", module)]
    assert not missing, f"{proof.test} holds no {', '.join(missing)}"


def test_every_entry_stands_for_a_command() -> None:
    assert [proof for proof in PROOFS if not any(find_proof(command) == proof for command in COMMANDS)] == []
    assert [why for why in UNRUN.values() if why not in map(find_reason, COMMANDS)] == []


@pytest.fixture(scope="module")
def checkout(tiny_pipeline: Path, run_in: RunIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A clone of the finished pipeline with an environment; stages that earlier runs of the tests ran are not run again."""
    clone = tmp_path_factory.mktemp("docs") / "checkout"
    run_in(clone.parent, "git", "clone", "-q", str(tiny_pipeline), str(clone))
    run_in(clone, "git", "branch", "-M", "main")
    (clone / ".venv").mkdir()
    (clone / ".venv" / "bin").symlink_to(Path(sys.prefix) / "bin")
    (clone / ".venv" / ".installed").touch()
    with kept_cache(clone, "docs"):
        shutil.copytree(tiny_pipeline / ".dvc" / "cache", clone / ".dvc" / "cache", copy_function=copy_new, dirs_exist_ok=True)
        run_in(clone, "dvc", "checkout", "-q")
        yield clone


def copy_new(source: str, target: str) -> None:
    """Copy a file that is not there yet: DVC's are read-only."""
    if not os.path.exists(target):
        shutil.copy2(source, target)


@pytest.fixture
def reset(checkout: Path, run_in: RunIn) -> Iterator[Path]:
    """The clone, given back as it was."""
    yield checkout
    if not run_in(checkout, "git", "status", "--porcelain"):
        return
    run_in(checkout, "git", "reset", "-q", "--hard")
    run_in(checkout, "git", "clean", "-q", "-fd")
    for folder in (checkout / "data" / "raw").iterdir():
        if folder.is_dir() and folder.name != "shapes":
            shutil.rmtree(folder)
    run_in(checkout, "dvc", "checkout", "-q", "--force")


@pytest.mark.slow
@pytest.mark.parametrize("page", [pytest.param(page, marks=pytest.mark.whole) if page in TRAINING else page for page in RUN])
def test_every_command_of_a_page_succeeds(page: str, reset: Path) -> None:
    for block, commands in groupby(list_commands(page), key=lambda command: command.block):
        PLACES.get((page, block), lambda _: None)(reset)
        lines = [command.text for command in commands if has_to_run(command)]
        if lines:
            run_block(reset, lines)


def run_block(checkout: Path, lines: list[str]) -> None:
    """Run the lines of a block in one shell, as if they were pasted."""
    folder, video = f"{checkout.parent}/", "data/raw/shapes/videos/test_0000.mp4"
    beside = {"/path/to/": folder, "/tmp/": folder, "FILE...": video}
    script = "\n".join(["set -eo pipefail", *lines])
    script = re.sub("|".join(map(re.escape, beside)), lambda found: beside[found[0]], script)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CUEPOINT_", "DVC_", "MLFLOW_", "PREFECT_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**kept, **TELEMETRY_OFF, "PATH": path, "PYTHONPATH": str(checkout), "PYTHON": sys.executable}
    done = subprocess.run(["bash", "-c", script], cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{script}\nended with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"


def list_anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings as GitHub makes them."""
    plain = re.sub(r"^( *)```.*?^\1```", "", text, flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", plain, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [*PAGES, *sorted((ROOT / "tests" / "benchmarks").glob("*.md"))], ids=name_page)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^( *)```.*?^\1```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"https?:", link):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            assert target.exists(), f"{link} leads nowhere"
            assert not anchor or anchor in list_anchors(target.read_text(encoding="utf-8")), f"{link}: no such heading"


def test_the_index_names_every_page_and_every_task() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert [task for task in TASKS if f"\n| {task} | [" not in index] == []
    assert [page.name for page in PAGES[1:] if page.name != "README.md" and f"]({page.name})" not in index] == []


def test_the_first_screen_of_readme_has_the_commands_and_a_picture() -> None:
    screen = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## ")[0].splitlines()
    assert screen[0] == "# Cuepoint"
    assert len(screen) <= 20
    first = screen.index("```bash")
    assert [line.split("#")[0].strip() for line in screen[first + 1 : first + 4]] == ["make repro", "make test", "```"]
    assert screen.count("```bash") == 1
    assert sum(line.startswith("![") for line in screen) == 1


@pytest.mark.parametrize("page", PAGES[1:], ids=name_page)
def test_a_page_starts_with_its_title_and_a_command(page: Path) -> None:
    title, *rest = page.read_text(encoding="utf-8").split("\n\n", 2)
    assert re.fullmatch(r"# [^\n]+", title)
    assert page.name in STARTS_WITH_PROSE or rest[0].startswith("```"), f"{page.name} starts without a command"
