"""The commands of the bench: run the arms that are due, list the arms, write the page."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from itertools import count

from tqdm import tqdm

from corpus.files import write_bytes
from evaluation.tables.scores import HEADLINE
from flows.bench.arms import Arm
from flows.bench.catalogue import Catalogue, list_arms, load_catalogue
from flows.bench.given import Given, describe_commit, load_given
from flows.bench.keys import compute_arm_key
from flows.bench.page import build_files
from flows.bench.queue import Ended, Job, Queue
from flows.bench.records import OUTPUTS, RECORDS, Record, describe_arm, load_records, save_records
from models.metrics.tan2d import MEAN_IOU
from pipeline.executors.machine import count_workers, describe_machine
from pipeline.executors.process import hold_lock
from pipeline.paths import find_cache_dir

BENCH = "models"
_SOME_FAILED = 3  # the exit code when arms have no figures
_MAX_CORES = 4  # more threads slow such small networks down, and more trainings at once need more memory

Records = dict[str, Record]  # by arm


def run(*, only: Sequence[str], again: Sequence[str]) -> None:
    """Run the arms that have no up-to-date record; write records and page also when interrupted.

    The program exits with 3 when an arm has no figures.
    """
    catalogue = load_catalogue(BENCH)
    arms, given = list_arms(catalogue), load_given()
    chosen, repeated = select_arms(arms, only or ["*"]), select_arms(arms, again)
    schedule = Queue(BENCH, find_cache_dir() / "bench", catalogue.max_wall_s, min(_MAX_CORES, count_workers()))
    jobs = [Job(arm, compute_arm_key(arm, given.list_rules(arm.group))) for arm in arms]
    with (
        hold_lock(find_cache_dir() / "locks" / "bench.lock", what="the bench"),
        keep_records(schedule, jobs, catalogue) as records,
    ):
        due = [job for job in jobs if job.arm.name in chosen and (job.arm.name in repeated or not is_settled(job, records))]
        for job in due:
            if job.arm.name in repeated:
                schedule.start_over(job)
        print(f"{len(due)} of {len(arms)} arms to run; the others are on record or were not selected")
        run_jobs(schedule, due, records, given)
    missing = [job.arm.name for job in due if records[job.arm.name].status != "done"]
    if missing:
        print(f"bench: no figures of {', '.join(missing)}; see the reasons in {RECORDS}", file=sys.stderr)
        sys.exit(_SOME_FAILED)


def list_all() -> None:
    """Print each arm with its outcome."""
    catalogue = load_catalogue(BENCH)
    records = load_records(RECORDS)
    for arm in list_arms(catalogue):
        print(f"{arm.name}: {describe(records[arm.name]) if arm.name in records else 'not run yet'}")
    for slot, reasons in catalogue.left_out.items():
        for name, reason in reasons.items():
            print(f"{slot} {name}: left out: {reason}")


def write_page() -> None:
    """Write the page from the records of the current arms."""
    write_files(load_catalogue(BENCH), load_records(RECORDS))


def write_files(catalogue: Catalogue, records: Mapping[str, Record]) -> None:
    """Write the page and its pictures."""
    for path, content in build_files(list(records.values()), catalogue.left_out).items():
        write_bytes(path, content.encode())


def select_arms(arms: Sequence[Arm], patterns: Iterable[str]) -> set[str]:
    """Return the names that match one of the patterns.

    Raises:
        ValueError: when a pattern matches none.
    """
    chosen: set[str] = set()
    for pattern in patterns:
        found = {arm.name for arm in arms if arm.name == pattern or fnmatchcase(arm.name, pattern)}
        if not found:
            raise ValueError(f"no arm is called {pattern!r}; known: {', '.join(arm.name for arm in arms)}")
        chosen |= found
    return chosen


def is_settled(job: Job, records: Mapping[str, Record]) -> bool:
    """Tell whether an arm's record is up to date; a failure does not count, because its cause may be gone."""
    record = records.get(job.arm.name)
    return record is not None and record.key == job.key and record.status != "failed"


@contextmanager
def keep_records(schedule: Queue, jobs: Sequence[Job], catalogue: Catalogue) -> Iterator[Records]:
    """Yield the records, including those of an interrupted bench; write them and the page when the block ends."""
    records = load_records(RECORDS) | {job.arm.name: record for job in jobs if (record := schedule.find_finished(job))}
    try:
        yield records
    finally:
        kept = {job.arm.name: records[job.arm.name] for job in jobs if job.arm.name in records}
        save_records(RECORDS, kept.values())
        write_files(catalogue, kept)
        schedule.forget({job.key for job in jobs if not is_settled(job, kept) or kept[job.arm.name].status == "cut"})


def run_jobs(schedule: Queue, jobs: Sequence[Job], records: Records, given: Given) -> None:
    """Run jobs and print a line for each."""
    numbers = count(1)
    with tqdm(total=len(jobs), desc="arms", unit="arm", disable=None) as bar:

        def report(ended: Ended) -> None:
            record = ended.record or describe_failure(ended, given)
            records[record.arm] = record
            bar.write(f"[{next(numbers)}/{len(jobs)}] {record.arm}: {describe(record)}")
            bar.update()

        schedule.run(jobs, report)


def describe_failure(ended: Ended, given: Given) -> Record:
    """Return the record of an arm without figures."""
    return Record(
        **describe_arm(ended.job.arm),
        key=ended.job.key,
        status=ended.status,
        reason=ended.reason,
        commit=describe_commit(OUTPUTS),
        machine=describe_machine(),
        corpus=given.corpus,
        dataset=given.dataset,
        wall_s=round(ended.wall_s, 1),
    )


def describe(record: Record) -> str:
    """Return the outcome of an arm in one line."""
    if record.scores is None:
        return f"{record.status} after {record.wall_s:.0f} s: {record.reason}"
    figures = record.scores.figures
    return f"R@1 {100 * (figures[HEADLINE] or 0):.1f} %, mean IoU {100 * (figures[MEAN_IOU] or 0):.1f} %, {record.wall_s:.0f} s"
