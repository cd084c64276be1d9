"""Work on the videos of a corpus in child processes with a budget; the error names videos that crash or stall a process."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from corpus.files import NoRoomError
from corpus.isolation import Budget, Failure, Report, Success, run_isolated
from pipeline.executors.machine import count_workers

T = TypeVar("T")

_REPORT_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class _Work(Generic[T]):
    """Returns the error of a full disk, which is no fault of the video, and reports progress once a second."""

    function: Callable[[Path, Report], T]

    def __call__(self, path: Path, report: Report) -> T | NoRoomError:
        try:
            return self.function(path, _slow_down(report))
        except NoRoomError as error:
            return error


def decode_videos(
    function: Callable[[Path, Report], T], paths: Sequence[Path], *, budget: Budget | None = None
) -> Iterator[tuple[Path, T]]:
    """Yield each file with the result of the function, in any order; see `corpus.isolation` for the budget.

    A failing file affects no other: the error is raised after the others are finished.

    Raises:
        ValueError: naming the failed files, each with its reason.
        NoRoomError: when the disk is full.
    """
    failures: list[Failure] = []
    for event in run_isolated(_Work(function), paths, num_workers=count_workers(), budget=budget or Budget()):
        if isinstance(event, Success):
            if isinstance(event.value, NoRoomError):
                raise event.value
            yield event.path, event.value
        elif isinstance(event, Failure):
            failures.append(event)
    if failures:
        reasons = "\n".join(sorted(_describe(failure) for failure in failures))
        raise ValueError(
            f"{len(failures)} of {len(paths)} videos cannot be used:\n{reasons}\n"
            "replace or remove these files, then run: dvc repro; the results of the other videos are kept"
        )


def _slow_down(report: Report) -> Report:
    """Drop reports within a second of the last report, because each report wakes the parent process."""
    next_s = time.monotonic() + _REPORT_EVERY_S

    def report_seldom(share: float) -> None:
        nonlocal next_s
        if time.monotonic() >= next_s:
            next_s = time.monotonic() + _REPORT_EVERY_S
            report(share)

    return report_seldom


def _describe(failure: Failure) -> str:
    path, reason = str(failure.path), failure.reason
    return reason if path in reason else f"{path}: {reason}"
