"""Arms as processes: time limits, no process left behind, kept times. A fast program stands in for a training."""

import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.bench.arm_run import RECORD
from flows.bench.clock import Clock, load_spent
from flows.bench.queue import Ended, Job, Queue

pytestmark = pytest.mark.slow
PROGRAM = """
import json, os, pathlib, sys, time

name, folder = sys.argv[1], pathlib.Path(sys.argv[sys.argv.index("--folder") + 1])
with (folder.parent / "starts").open("a") as file:
    file.write(f"{name} {os.getpid()} {sys.argv[sys.argv.index('--threads') + 1]}\\n")
if name == "slow":
    (folder / "spent.json").write_text('{"wall_s": 0.3, "cpu_s": 0.1}')
    time.sleep(3600)
if name == "wrong":
    sys.exit("noise\\narm: error: the loss 'x' needs saliency")
if name == "crashed":
    os.abort()
time.sleep(0.2)
record = json.loads(pathlib.Path(folder.parent / "record").read_text()) | {"arm": name}
(folder / "record.json").write_text(json.dumps(record))
"""
RECORD_VALUES = {"arm": "", "group": "loss", "key": "k", "plan": {}, "status": "done", "commit": "c", "machine": "m"}
RECORD_VALUES |= {"corpus": "shapes", "dataset": "d", "wall_s": 1.0}


def make_job(name: str, *, is_timed: bool = False) -> Job:
    arm: Any = SimpleNamespace(name=name, is_timed=is_timed)
    return Job(arm, f"key-{name}")


@pytest.fixture
def schedule(tmp_path: Path) -> Queue:
    (tmp_path / "record").write_text(json.dumps(RECORD_VALUES))
    return Queue("models", tmp_path, max_wall_s=300.0, cores=2, program=(sys.executable, "-c", PROGRAM))


def run(schedule: Queue, *jobs: Job) -> dict[str, Ended]:
    ended: list[Ended] = []
    schedule.run(jobs, ended.append)
    return {one.job.arm.name: one for one in ended}


def read_starts(schedule: Queue) -> list[list[str]]:
    return [line.split() for line in (schedule.work_dir / "starts").read_text().splitlines()]


def is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_arm_that_finishes_gives_its_record(schedule: Queue) -> None:
    ended = run(schedule, make_job("a"))["a"]
    assert (ended.status, ended.record and ended.record.arm) == ("done", "a")
    assert schedule.find_finished(make_job("a")) == ended.record


def test_an_arm_that_takes_too_long_is_ended_with_a_reason(schedule: Queue) -> None:
    schedule.max_wall_s = 5.0
    ended = run(schedule, make_job("slow"))["slow"]
    assert (ended.status, ended.reason) == ("cut", "not finished after 5 s")
    assert not is_alive(int(read_starts(schedule)[0][1]))


def test_the_time_of_an_arm_before_a_kill_counts(schedule: Queue) -> None:
    job = make_job("a")
    schedule.max_wall_s = 100.0
    (schedule.work_dir / job.key).mkdir()
    (schedule.work_dir / job.key / "spent.json").write_text('{"wall_s": 99.95, "cpu_s": 5.0}')
    assert run(schedule, job)["a"].status == "cut"


@pytest.mark.parametrize(("name", "reason"), [("wrong", "the loss 'x' needs saliency"), ("crashed", "ended by signal 6")])
def test_a_failed_arm_has_a_reason_and_the_others_go_on(name: str, reason: str, schedule: Queue) -> None:
    ended = run(schedule, make_job(name), make_job("a"))
    assert (ended[name].status, ended[name].reason) == ("failed", reason)
    assert ended["a"].status == "done"


def test_timed_arms_run_alone_on_all_cores_and_the_others_together_on_one_each(schedule: Queue) -> None:
    run(schedule, make_job("a"), make_job("t", is_timed=True), make_job("b"), make_job("u", is_timed=True))
    names, _, threads = zip(*read_starts(schedule), strict=True)
    assert names[:2] == ("t", "u")
    assert {*names[2:]} == {"a", "b"}
    assert threads == ("2", "2", "1", "1")


def test_an_interruption_ends_the_processes_that_run(schedule: Queue) -> None:
    def interrupt(_: Ended) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        schedule.run([make_job("slow"), make_job("a")], interrupt)
    assert not any(is_alive(int(start[1])) for start in read_starts(schedule))


def test_a_record_of_an_earlier_run_is_not_taken_for_this_one(schedule: Queue) -> None:
    job = make_job("wrong")
    (schedule.work_dir / job.key).mkdir()
    (schedule.work_dir / job.key / RECORD).write_text(json.dumps(RECORD_VALUES))
    assert run(schedule, job)["wrong"].status == "failed"
    assert schedule.find_finished(job) is None


def test_only_the_folders_of_kept_jobs_stay(schedule: Queue) -> None:
    run(schedule, make_job("a"), make_job("b"))
    schedule.forget({"key-b"})
    assert [path.name for path in schedule.work_dir.iterdir() if path.is_dir()] == ["key-b"]


def test_a_job_that_starts_over_has_spent_nothing(schedule: Queue) -> None:
    job = make_job("slow")
    (schedule.work_dir / job.key / "training").mkdir(parents=True)
    (schedule.work_dir / job.key / "spent.json").write_text('{"wall_s": 300.0, "cpu_s": 3.0}')
    assert run(schedule, job)["slow"].status == "cut"
    schedule.start_over(job)
    assert not (schedule.work_dir / job.key).exists()
    assert run(schedule, make_job("a"))["a"].status == "done"


def test_a_clock_continues_the_time_of_an_earlier_process(tmp_path: Path) -> None:
    (tmp_path / "spent.json").write_text('{"wall_s": 7.0, "cpu_s": 3.0}')
    clock = Clock(tmp_path)
    with clock.keep():
        time.sleep(1.1)
    assert load_spent(tmp_path).wall_s > 8.0
    assert clock.read().cpu_s >= 3.0
