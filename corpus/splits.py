"""Splits by video: chooses held-out videos, and checks that nothing leaks between splits."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from corpus.annotations import name_some
from corpus.readers.base import RowNote
from corpus.records import GATE, TEST, TRAIN, VALIDATION, Query, Video

UNLABELLED = "unlabelled"  # videos without queries: part of the collection, not of any table


def leave_out_reannotated(
    queries: Sequence[Query], rows: Mapping[str, str], reannotated: Mapping[str, str]
) -> tuple[list[Query], list[RowNote]]:
    """Leave out the queries of a split about videos that another split annotates again; list them by row.

    `reannotated` maps the split that loses queries to the other split: {"val": "test"} keeps every test query, and the val
    queries about videos that are not in test.
    """
    videos = {split: {query.video_id for query in queries if query.split == split} for split in reannotated.values()}
    kept: list[Query] = []
    notes: list[RowNote] = []
    for query in queries:
        other = reannotated.get(query.split)
        if other is None or query.video_id not in videos[other]:
            kept.append(query)
        else:
            reason = f"the video {query.video_id!r} is in the split {other} too"
            notes.append(RowNote(rows[query.qid], query.qid, reason, query.split))
    return kept, notes


def assign_splits(
    queries: Sequence[Query],
    contents: Mapping[str, str],
    *,
    validation_share: float,
    test_share: float,
    seed: int,
    gate_share: float = 0.0,
) -> dict[str, str]:
    """Return the split of every video of `contents` (video id -> hash of its bytes); copies of a video stay together.

    Published splits are kept. If a corpus publishes no val, it is held out of train; likewise gate, if `gate_share` is set.
    val and test do not depend on `gate_share`. Videos without queries are `unlabelled`.

    Raises:
        ValueError: when the published splits are incomplete or contradictory, or there are too few videos.
    """
    splits = require_one_split(queries)
    annotated = {query.video_id for query in queries}
    if not splits:
        splits = choose_splits(annotated, contents, validation_share=validation_share, test_share=test_share, seed=seed)
    elif TRAIN not in splits.values():
        raise ValueError(
            f"no query has the split {TRAIN!r}, only {', '.join(sorted(set(splits.values())))}; there is nothing to learn"
        )
    elif VALIDATION not in splits.values():
        train = [video_id for video_id, split in splits.items() if split == TRAIN]
        splits |= hold_out(train, contents, split=VALIDATION, share=validation_share, seed=seed)
    if gate_share and GATE not in splits.values():
        train = [video_id for video_id, split in splits.items() if split == TRAIN]
        splits |= hold_out(train, contents, split=GATE, share=gate_share, seed=seed)
    return {video_id: splits.get(video_id, UNLABELLED) for video_id in contents}


def require_one_split(queries: Sequence[Query]) -> dict[str, str]:
    """Return the published split of each video; empty without published splits.

    Raises:
        ValueError: when some queries have no split, or the queries of one video are in two splits.
    """
    without = sum(not query.split for query in queries)
    if without == len(queries):
        return {}
    if without:
        raise ValueError(f'{without} of {len(queries)} rows have no "split"; give one to all rows or to none')
    splits: dict[str, set[str]] = defaultdict(set)
    for query in queries:
        splits[query.video_id].add(query.split)
    leaks = [f"{video_id} ({', '.join(sorted(names))})" for video_id, names in splits.items() if len(names) > 1]
    if leaks:
        raise ValueError(f"the queries of a video are in two splits: {name_some(leaks, '; ')}; give them one split")
    return {video_id: next(iter(names)) for video_id, names in splits.items()}


def choose_splits(
    video_ids: Iterable[str], contents: Mapping[str, str], *, validation_share: float, test_share: float, seed: int
) -> dict[str, str]:
    """Assign videos to train, val and test by a hash of seed and id; val and test get at least one video.

    Raises:
        ValueError: when there are too few different videos for a hold-out.
    """
    groups = _rank_copies(video_ids, contents, seed)
    num_test = max(1, round(test_share * len(groups)))
    num_validation = max(1, round(validation_share * len(groups)))
    if num_test + num_validation >= len(groups):
        raise ValueError(
            f"{len(groups)} different annotated videos cannot be split into train, {num_validation} val and {num_test} test; "
            'give each row of the annotations a "split", or add videos'
        )
    names = [TEST] * num_test + [VALIDATION] * num_validation + [TRAIN] * len(groups)
    return {video_id: name for group, name in zip(groups, names, strict=False) for video_id in group}


def hold_out(video_ids: Iterable[str], contents: Mapping[str, str], *, split: str, share: float, seed: int) -> dict[str, str]:
    """Choose the share of the training videos that become another split: at least one.

    Raises:
        ValueError: when there is no video to spare.
    """
    groups = _rank_copies(video_ids, contents, seed)
    if len(groups) < 2:
        raise ValueError(
            f"{split} must be held out of train, but train has {len(groups)} video; "
            f'give rows of the annotations the "split" {split}, or add videos'
        )
    number = min(max(1, round(share * len(groups))), len(groups) - 1)
    return {video_id: split for group in groups[:number] for video_id in group}


def require_no_leak(videos: Sequence[Video]) -> None:
    """Refuse a corpus in which the same bytes are videos of two splits.

    Raises:
        ValueError: naming the videos and their splits.
    """
    by_content: dict[str, list[Video]] = defaultdict(list)
    for video in videos:
        by_content[video.sha256].append(video)
    leaks = [copies for copies in by_content.values() if len({video.split for video in copies}) > 1]
    if leaks:
        named = "; ".join(" = ".join(f"{video.video_id} ({video.split})" for video in copies) for copies in leaks)
        raise ValueError(f"the same video is in two splits: {named}; remove one of each, or give them one split")


def _rank_copies(video_ids: Iterable[str], contents: Mapping[str, str], seed: int) -> list[list[str]]:
    """Group videos with equal bytes, in the order of a hash of the seed and the group's first id."""
    groups: dict[str, list[str]] = defaultdict(list)
    for video_id in sorted(video_ids):
        groups[contents[video_id]].append(video_id)
    return sorted(groups.values(), key=lambda group: hashlib.sha256(f"{seed}:{group[0]}".encode()).hexdigest())
