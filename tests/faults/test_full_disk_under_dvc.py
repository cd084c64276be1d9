"""Full disks during a DVC commit: the next run repairs what DVC leaves behind, without deletions by hand."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from loopback import wait_until
from pipeline.dvc.process import DvcError, run_dvc
from pipeline.dvc.repair import find_live_dvc, repair
from small_disk import SmallDisk, run_program

pytestmark = [pytest.mark.fault, pytest.mark.slow]

OUT_BYTES = 3_000_000
PIPELINE = """
stages:
  make:
    cmd: python make.py
    deps: [make.py]
    params: [seed]
    outs: [out]
"""
# `PLAIN` stages know nothing of this project; the others end like all stages of this project
MAKE = f"""
import random, sys
from pathlib import Path
import yaml
def main():
    with open("runs.log", "a") as log:
        print("make", file=log)
    Path("out").mkdir(exist_ok=True)
    generator = random.Random(yaml.safe_load(Path("params.yaml").read_text())["seed"])
    for number in range(3):
        (Path("out") / str(number)).write_bytes(generator.randbytes({OUT_BYTES // 3}))
"""
PLAIN, OURS = "main()\n", "from pipeline.entry import run_alone\nrun_alone(main, name='make')\n"
GUARDED = (sys.executable, "-m", "pipeline.dvc.process", "repro")


@dataclass(frozen=True, slots=True)
class Repo:
    """A DVC project of one stage, and the folder of DVC's state databases."""

    path: Path
    site: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return run_program(self.path, *command, environment={"DVC_SITE_CACHE_DIR": str(self.site)})

    def repro(self) -> str:
        done = self.run(*GUARDED)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def hash_outs(self) -> list[str]:
        return [hashlib.md5(path.read_bytes()).hexdigest() for path in sorted((self.path / "out").iterdir())]

    def assert_whole(self) -> None:
        """Check that DVC reports everything as done, that its cache has all files, and that no unfinished file is left."""
        assert self.run("dvc", "status", "--quiet").returncode == 0
        objects = self.path / ".dvc" / "cache" / "files" / "md5"
        for digest in self.hash_outs():
            kept = objects / digest[:2] / digest[2:]
            assert hashlib.md5(kept.read_bytes()).hexdigest() == digest
        assert list(self.path.rglob("*.tmp")) == []

    @property
    def num_runs(self) -> int:
        return len((self.path / "runs.log").read_text().splitlines())


def make_repo(path: Path, site: Path, *, end: str = PLAIN) -> Repo:
    (path / ".dvc").mkdir(parents=True)
    (path / ".dvc" / "config").write_text("[core]\n    analytics = false\n    check_update = false\n")
    (path / ".dvc" / ".gitignore").write_text("/tmp\n/cache\n")
    (path / "dvc.yaml").write_text(PIPELINE)
    (path / "params.yaml").write_text("seed: 1\n")
    (path / "make.py").write_text(MAKE + end)
    run_program(path, "git", "init", "-q")
    return Repo(path, site)


def commit_all(repo: Repo) -> None:
    repo.run("git", "add", "-A")
    done = repo.run("git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-q", "-m", "x")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """Return a project whose stage has run; tests copy it."""
    folder = tmp_path_factory.mktemp("finished")
    repo = make_repo(folder / "repo", folder / "site")
    repo.repro()
    commit_all(repo)
    return repo


@pytest.fixture
def repo(finished: Repo, tmp_path: Path) -> Repo:
    """Return a copy of the finished project."""
    shutil.copytree(finished.path, tmp_path / "repo")
    return Repo(tmp_path / "repo", tmp_path / "site")


@pytest.mark.parametrize("is_first", [True, False], ids=["first run", "later run"])
@pytest.mark.parametrize("place", ["the same disk", "another disk"])
def test_a_commit_that_does_not_fit_fails_with_path_and_sizes_and_works_again_with_room(
    place: str, is_first: bool, small_disk: SmallDisk, tmp_path: Path, finished: Repo
) -> None:
    site = (small_disk.path if place == "the same disk" else tmp_path) / "site"
    repo = make_repo(small_disk.path / "repo", site)
    if not is_first:
        (repo.path / "params.yaml").write_text("seed: 2\n")
        repo.repro()
        (repo.path / "params.yaml").write_text("seed: 1\n")
    lock = repo.path / "dvc.lock"
    before = lock.read_bytes() if lock.exists() else None
    small_disk.fill(leaving=OUT_BYTES // 2 + (OUT_BYTES if is_first else 0))
    failed = repo.run(*GUARDED)
    assert failed.returncode not in (0, 124), failed.stdout + failed.stderr
    assert f"{small_disk.path}/repo/.dvc/cache" in failed.stderr
    assert " bytes are needed, " in failed.stderr or " bytes were written, " in failed.stderr
    assert "; free some and run it again" in failed.stderr
    assert (lock.read_bytes() if lock.exists() else None) == before
    small_disk.free_space()
    repo.repro()
    repo.assert_whole()
    assert repo.hash_outs() == finished.hash_outs()


def test_a_stage_of_ours_ends_a_plain_dvc_before_its_commit_can_fail(small_disk: SmallDisk, finished: Repo) -> None:
    repo = make_repo(small_disk.path / "repo", small_disk.path / "site", end=OURS)
    small_disk.fill(leaving=OUT_BYTES + (4 << 20))
    failed = repo.run("dvc", "repro")
    assert failed.returncode not in (0, 124)
    assert "make: error: No space left on device to take out into DVC's cache: " in failed.stderr
    assert f"bytes are free in {repo.path}/.dvc/cache; free some and run it again" in failed.stderr
    assert not (repo.path / "dvc.lock").exists()
    small_disk.free_space()
    assert repo.run("dvc", "repro").returncode == 0
    repo.assert_whole()
    assert repo.hash_outs() == finished.hash_outs()


def test_files_in_the_cache_need_no_room(small_disk: SmallDisk) -> None:
    repo = make_repo(small_disk.path / "repo", small_disk.path / "site", end=OURS)
    assert repo.run("dvc", "repro").returncode == 0
    small_disk.fill(leaving=OUT_BYTES // 2 + (4 << 20))
    again = repo.run("dvc", "repro", "--force")
    assert again.returncode == 0, again.stderr
    assert repo.num_runs == 2


def test_the_error_of_a_flow_names_the_missing_room(small_disk: SmallDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = make_repo(small_disk.path / "repo", small_disk.path / "site")
    monkeypatch.chdir(repo.path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(repo.site))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    small_disk.fill(leaving=OUT_BYTES + OUT_BYTES // 2)
    with pytest.raises(DvcError, match=r"`dvc repro` failed with exit code 255:\n[\s\S]* bytes are free in .*; free some"):
        run_dvc(["repro"], log=lambda _: None, attempts=1)


def cut_off(path: Path, *, keeping: float = 0.0) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keeping)])


def leave_a_copy(path: Path) -> None:
    unfinished = path / ".dvc" / "cache" / "files" / "md5" / "ab" / ".QJ3_unfinished.tmp"
    unfinished.parent.mkdir(exist_ok=True)
    unfinished.write_bytes(b"half")


DAMAGES: dict[str, Callable[[Repo], object]] = {
    "empty rwlock": lambda repo: (repo.path / ".dvc" / "tmp" / "rwlock").write_bytes(b""),
    "cut rwlock": lambda repo: (repo.path / ".dvc" / "tmp" / "rwlock").write_bytes(b'{"write": {"/x'),
    "empty lock": lambda repo: cut_off(repo.path / "dvc.lock"),
    "cut lock": lambda repo: cut_off(repo.path / "dvc.lock", keeping=0.5),
    "unfinished copy": lambda repo: leave_a_copy(repo.path),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_of_a_full_disk_is_repaired_without_computing_anything_again(damage: str, repo: Repo) -> None:
    lock = (repo.path / "dvc.lock").read_bytes()
    DAMAGES[damage](repo)
    output = repo.repro()
    assert "dvc: " in output
    assert (repo.path / "dvc.lock").read_bytes() == lock
    assert repo.num_runs == 1
    repo.assert_whole()


@pytest.mark.parametrize("source", ["committed", "nothing"])
def test_a_lost_lock_is_restored_from_git_or_stage_by_stage_from_the_run_cache(source: str, repo: Repo) -> None:
    lock = (repo.path / "dvc.lock").read_bytes()
    shutil.rmtree(repo.path / ".cache")
    if source == "nothing":
        shutil.rmtree(repo.path / ".git")
        run_program(repo.path, "git", "init", "-q")
    cut_off(repo.path / "dvc.lock")
    output = repo.repro()
    assert ("restored the committed dvc.lock" if source == "committed" else "removed dvc.lock") in output
    assert (repo.path / "dvc.lock").read_bytes() == lock
    assert repo.num_runs == 1


@pytest.mark.parametrize("keeping", [0.0, 0.3, 0.9])
def test_truncated_state_databases_are_recreated(keeping: float, repo: Repo) -> None:
    repo.repro()
    databases = list(repo.site.rglob("*.db"))
    assert len(databases) >= 2
    for path in databases:
        cut_off(path, keeping=keeping)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    repo.repro()
    assert repo.num_runs == 1


def test_nothing_is_repaired_while_dvc_is_running(repo: Repo) -> None:
    program = repo.path / "dvc"
    program.write_text("import time; print('up', flush=True); time.sleep(60)")
    cut_off(repo.path / ".dvc" / "tmp" / "rwlock")
    with subprocess.Popen([sys.executable, program], cwd=repo.path, stdout=subprocess.PIPE) as living:
        try:
            assert living.stdout is not None
            living.stdout.readline()
            assert find_live_dvc(repo.path) == living.pid
            assert repair(repo.path) == []
            assert (repo.path / ".dvc" / "tmp" / "rwlock").exists()
        finally:
            living.kill()
    assert wait_until(lambda: find_live_dvc(repo.path) is None)
    assert repair(repo.path) == ["removed .dvc/tmp/rwlock, which was truncated"]
    assert not (repo.path / ".dvc" / "tmp" / "rwlock").exists()


def test_without_any_room_the_command_ends_before_dvc_starts(small_disk: SmallDisk, finished: Repo) -> None:
    shutil.copytree(finished.path, small_disk.path / "repo", ignore=shutil.ignore_patterns(".cache"))
    repo = Repo(small_disk.path / "repo", small_disk.path / "site")
    small_disk.fill(leaving=0)
    failed = repo.run(*GUARDED)
    assert failed.returncode == 1
    assert "dvc: error: cannot write " in failed.stderr
    assert ": No space left on device; " in failed.stderr
    assert "Traceback" not in failed.stderr
    assert yaml.safe_load((repo.path / "dvc.lock").read_text())["stages"]["make"]["outs"]
    small_disk.free_space()
    assert sorted(os.listdir(repo.path / "out")) == ["0", "1", "2"]
    repo.repro()
    repo.assert_whole()
