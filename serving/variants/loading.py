"""Loads the challenger that the environment names. A failure never stops the champion."""

import logging
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from search.answers import SearchQuery
from search.contracts import Predictor, VideoCollection
from search.kinds import load_predictor
from serving.library.jobs import JobQueue
from serving.variants.attempt import attempt
from serving.variants.challenger import Challenger
from serving.variants.follower import CollectionFollower, FollowedPredictor
from serving.variants.metrics import VariantMetrics
from serving.variants.referee import Referee
from serving.variants.settings import ChallengerSettings, find_challenger_settings
from serving.variants.variant import CHALLENGER, CHAMPION, Ask, Variant
from serving.variants.variants import THREADS, Variants
from serving.variants.worker import Worker

_MAX_WAITING = {"share": 32, "shadow": 8}  # share: all searches in flight; shadow: the largest backlog
_WARM_UP_S = 60.0
_LOWEST_PRIORITY = 19

logger = logging.getLogger("bentoml.cuepoint")


class Surroundings(NamedTuple):
    """Resources that a challenger shares with the champion."""

    state_dir: Path
    jobs: JobQueue
    metrics: VariantMetrics
    num_threads: int  # of each network of the champion


class LoadedVariants(NamedTuple):
    """The variants that answer, and the target of the library's changes."""

    variants: Variants
    target: Predictor | FollowedPredictor


def load_variants(champion: Predictor, surroundings: Surroundings, environment: Mapping[str, str] = os.environ) -> LoadedVariants:
    """Open the challenger that the environment names. The champion answers alone if none is named, or if opening fails."""
    leader = Variant(CHAMPION, champion)
    try:
        settings = find_challenger_settings(environment)
        if settings is None:
            return LoadedVariants(Variants(leader, surroundings.metrics), champion)
        challenger, target = _load_challenger(settings, champion, surroundings)
    except Exception as error:  # a challenger may fail in any way
        reason = f"{type(error).__name__}: {error}" if not isinstance(error, (ValueError, OSError)) else str(error)
        logger.error("the challenger is refused, the champion answers alone: %s", reason)
        return LoadedVariants(Variants(leader, surroundings.metrics, refusal=reason), champion)
    return LoadedVariants(Variants(leader, surroundings.metrics, challenger=challenger), target)


def find_parts(folder: Path) -> tuple[Path, Path]:
    """Return the bundle and the index of a folder that holds both, or of a bento.

    Raises:
        FileNotFoundError: when it is neither.
    """
    for data in (folder, folder / "src" / "data"):
        if (data / "bundle").is_dir() and (data / "index").is_dir():
            return data / "bundle", data / "index"
    raise FileNotFoundError(f"CUEPOINT_CHALLENGER = {str(folder)!r}: it must be a folder with bundle/ and index/, or a bento")


def leave_out_strangers(predictor: Predictor, champion: VideoCollection) -> int:
    """Remove the challenger's videos that the champion lacks, and return their number.

    Raises:
        ValueError: naming a video that the challenger lacks, or that is another file there.
    """
    own = predictor.collection.videos
    for video_id, video in champion.videos.items():
        if video_id not in own:
            raise ValueError(f"the challenger's index lacks video {video_id!r} of the champion's; index the same videos")
        if own[video_id].sha256 != video.sha256:
            raise ValueError(f"the challenger indexed another file as video {video_id!r}; index the same videos")
    strangers = [video_id for video_id in own if video_id not in champion.videos]
    for video_id in strangers:
        predictor.remove_video(video_id)
    return len(strangers)


def _load_challenger(
    settings: ChallengerSettings, champion: Predictor, surroundings: Surroundings
) -> tuple[Challenger, FollowedPredictor]:
    state_dir, jobs, metrics, num_threads = surroundings
    is_shadow = settings.mode == "shadow"
    predictor = load_predictor(*find_parts(settings.folder), num_threads=1 if is_shadow else num_threads)
    num_left_out = leave_out_strangers(predictor, champion.collection)
    worker = Worker(
        num_threads=1 if is_shadow else THREADS,
        max_waiting=_MAX_WAITING[settings.mode],
        niceness=_LOWEST_PRIORITY if is_shadow else 0,
    )
    _warm_up(worker, predictor)
    challenger = Challenger(
        Variant(CHALLENGER, predictor),
        settings,
        worker=worker,
        referee=Referee(settings.limits, allowance=num_threads if is_shadow else 1),
        metrics=metrics,
    )
    leader = champion.bundle
    follower = CollectionFollower(predictor, leader, state_dir=state_dir, jobs=jobs, fail=challenger.take_out)
    challenger.follow(follower)
    logger.info("challenger: bundle %s (%s), %d videos left out", challenger.model, settings.mode, num_left_out)
    return challenger, FollowedPredictor(champion, follower)


def _warm_up(worker: Worker, predictor: Predictor) -> None:
    """Run a first search in a thread of the worker, which opens the networks.

    Raises:
        ValueError: when the search fails or takes too long.
    """
    ask: Ask = lambda asked: asked.search(SearchQuery("warm up", 1))  # noqa: E731 # a search like any other
    future = worker.submit(partial(attempt, ask, predictor, is_background=False))
    assert future is not None
    try:
        done = future.result(_WARM_UP_S)
    except TimeoutError as error:
        worker.stop()
        raise ValueError(f"the challenger did not answer its first search in {_WARM_UP_S:.0f} s") from error
    if done.answers is None:
        worker.stop()
        raise ValueError(f"the challenger cannot search: {done.reason}")
