"""Latency of a trained role for one video and one sentence on the CPU, with warm caches.

Letters: S clips, P places, L words, D widths.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle, islice

import torch

from corpus.moments import build_dense_cells, score_spans
from flows.bench.records import ANSWER, EMBED, PAIR, Latency
from flows.bench.scoring import Examination
from models.contracts.batches import TextFeatures, VideoFeatures
from models.contracts.inputs import load_clips, select_text, stack_videos
from models.contracts.roles import Localizer, Retriever

THREADS = (1, 2)
_PAIRS = 16  # of the split, timed in turn, because sentences differ in length
_WARM_UP = 8  # calls
_CALLS = 64  # in a round
_ROUNDS = 3

Call = Callable[[], object]


def time_localizer(localizer: Localizer, exam: Examination) -> tuple[Latency, ...]:
    """Time a localizer on one encoded video and one encoded sentence."""
    questions, videos = exam.questions, exam.open_windows(localizer)
    calls = []
    for row in range(min(_PAIRS, len(questions))):
        first = videos.list_ids(questions.video_ids[row])[0]
        video = stack_videos([videos.cells[first]], [videos.get_window(first).duration_s], localizer.num_cells)
        calls.append(_bind_localizer(localizer, video, _take_text(exam, row)))
    return _time_on_threads(PAIR, calls)


def time_retriever(retriever: Retriever, exam: Examination) -> tuple[Latency, ...]:
    """Time the two steps of a retriever: embedding the clips of a video, and answering a sentence in an indexed video."""
    rows = range(min(_PAIRS, len(exam.questions)))
    clips = [_load_clips(retriever, exam, row) for row in rows]
    videos = [_bind_clips(retriever, part) for part in clips]
    answers = [_bind_answer(retriever, part, _take_text(exam, row)) for row, part in zip(rows, clips, strict=True)]
    return (*_time_on_threads(EMBED, videos), *_time_on_threads(ANSWER, answers))


def _take_text(exam: Examination, row: int) -> TextFeatures:
    return select_text(exam.text, torch.tensor([row]))


def _load_clips(retriever: Retriever, exam: Examination, row: int) -> dict[str, torch.Tensor]:
    """Return the streams of a query's video, each (S, P, D)."""
    video_id, duration_s = exam.questions.video_ids[row], float(exam.questions.durations_s[row])
    clips = load_clips(exam.inputs.store, retriever.streams, video_id, duration_s=duration_s)
    return {name: torch.from_numpy(features).float() for name, features in clips.items()}


def _bind_localizer(localizer: Localizer, video: VideoFeatures, text: TextFeatures) -> Call:
    return lambda: localizer(video, text)


def _bind_clips(retriever: Retriever, clips: Mapping[str, torch.Tensor]) -> Call:
    return lambda: retriever.embed_clips(clips)


def _bind_answer(retriever: Retriever, clips: Mapping[str, torch.Tensor], text: TextFeatures) -> Call:
    with torch.no_grad():
        vectors = retriever.embed_clips(clips).numpy()  # (S, E)
    spans = build_dense_cells(len(vectors))
    return lambda: score_spans(vectors @ retriever.embed_queries(text).numpy()[0], spans).argmax()


def _time_on_threads(what: str, calls: Sequence[Call]) -> tuple[Latency, ...]:
    before = torch.get_num_threads()
    try:
        return tuple(_time_calls(what, calls, threads) for threads in THREADS if threads <= (os.cpu_count() or 1))
    finally:
        torch.set_num_threads(before)


def _time_calls(what: str, calls: Sequence[Call], threads: int) -> Latency:
    """Time the calls in a few rounds and return the least disturbed round."""
    torch.set_num_threads(threads)
    with torch.no_grad():
        for call in islice(cycle(calls), _WARM_UP):
            call()
        rounds = [_time_round(what, calls, threads) for _ in range(_ROUNDS)]
    return max(rounds, key=lambda one: one.cpu_share)


def _time_round(what: str, calls: Sequence[Call], threads: int) -> Latency:
    start_s, start_cpu_s = time.perf_counter(), time.process_time()
    taken_s = list(_time_each(islice(cycle(calls), _CALLS)))
    wall_s, cpu_s = time.perf_counter() - start_s, time.process_time() - start_cpu_s
    median_ms = round(1000 * statistics.median(taken_s), 3)
    return Latency(what=what, threads=threads, median_ms=median_ms, cpu_share=round(cpu_s / wall_s / threads, 3))


def _time_each(calls: Iterator[Call]) -> Iterator[float]:
    for call in calls:
        start_s = time.perf_counter()
        call()
        yield time.perf_counter() - start_s
