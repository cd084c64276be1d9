"""Files scored like QVHighlights: the public oracle, and random files against a slow evaluator in plain Python."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.scoring.conventions import QVHighlightsFiles
from evaluation.scoring.ground_truth import read_ground_truth
from evaluation.scoring.pairing import pair
from evaluation.scoring.prediction_files import read_predictions

Row = dict[str, Any]
RANGES = {"full": (-1, 1e9), "long": (30, 150), "middle": (10, 30), "short": (0, 10)}
PRECISION_LEVELS = [round(0.5 + 0.05 * step, 2) for step in range(10)]
RECALL_LEVELS = [round(0.3 + 0.05 * step, 2) for step in range(14)]


def score(tmp_path: Path, predictions: list[Row], truth: list[Row], *, shared_only: bool = False) -> dict[str, Any]:
    for name, rows in (("predictions", predictions), ("truth", truth)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    known = read_ground_truth(tmp_path / "truth.jsonl", reader=None, split=None)
    pairs = pair(known, read_predictions(tmp_path / "predictions.jsonl"), shared_only=shared_only)
    convention = QVHighlightsFiles()
    return convention.arrange(convention.score(pairs))


def compute_iou(window: list[float], other: list[float]) -> float:
    shared = max(0.0, min(window[1], other[1]) - max(window[0], other[0]))
    return shared / (window[1] - window[0] + other[1] - other[0] - shared)


def list_gains(steps: list[tuple[int, float]]) -> list[float]:
    """Return the best precision from each step that finds more than the one before; steps are (found, precision)."""
    counts = [0, *(count for count, _ in steps)]
    return [max(one for _, one in steps[place:]) for place, (count, _) in enumerate(steps) if count > counts[place]]


def compute_precision(windows: list[list[float]], truth: list[list[float]], level: float) -> float:
    """Return the average precision of one query: each window in turn takes the nearest moment that is left."""
    left, found, steps = list(range(len(truth))), 0, []
    for number, window in enumerate(sorted(windows[:10], key=lambda one: -one[2]), start=1):
        near = [place for place in left if compute_iou(window, truth[place]) >= level]
        if near:
            left.remove(max(near, key=lambda place: (compute_iou(window, truth[place]), place)))
            found += 1
        steps.append((found, found / number))
    gains = [
        max(one for _, one in steps[place:])
        for place, (count, _) in enumerate(steps)
        if count > (steps[place - 1][0] if place else 0)
    ]
    return sum(gains) / len(truth)


def compute_clip_precision(scores: list[float], labels: list[bool]) -> float:
    scores = (scores + [0.0] * len(labels))[: len(labels)]
    steps = []
    for level in sorted(set(scores), reverse=True):
        chosen = [label for one, label in zip(scores, labels, strict=True) if one >= level]
        steps.append((sum(chosen), sum(chosen) / len(chosen)))
    gains = [
        max(one for _, one in steps[place:])
        for place, (count, _) in enumerate(steps)
        if count > (steps[place - 1][0] if place else 0)
    ]
    return sum(gains) / len(gains) if gains else 0.0


def round_percent(values: list[float]) -> float:
    return float(f"{100 * np.mean(values):.2f}") if values else 0.0


def evaluate_slowly(predictions: list[Row], truth: list[Row]) -> dict[str, Any]:
    """Return every figure of a file, query by query."""
    answers = {row["qid"]: row for row in predictions}
    report: dict[str, Any] = {}
    for name, (above, up_to) in RANGES.items():
        kept = {row["qid"]: [one for one in row["relevant_windows"] if above < one[1] - one[0] <= up_to] for row in truth}
        asked = [qid for qid, windows in kept.items() if windows]
        first = [max(compute_iou(answers[qid]["pred_relevant_windows"][0], one) for one in kept[qid]) for qid in asked]
        precision = {
            str(level): [compute_precision(answers[qid]["pred_relevant_windows"], kept[qid], level) for qid in asked]
            for level in PRECISION_LEVELS
        }
        means = {level: round_percent(values) for level, values in precision.items()}
        means["average"] = round_percent([value for values in precision.values() for value in values])
        recall = {str(level): round_percent([float(one >= level) for one in first]) for level in RECALL_LEVELS}
        report[name] = {"MR-mIoU": round_percent(first), "MR-mAP": means, "MR-R1": recall}
    for name, minimum in (("Fair", 2), ("Good", 3), ("VeryGood", 4)):
        hits, precisions = [], []
        for row in truth:
            scores = answers[row["qid"]]["pred_saliency_scores"]
            clips = int(row["duration"] / 2)
            ratings = dict(zip(row["relevant_clip_ids"], row["saliency_scores"], strict=True))
            labels = [[ratings.get(clip, (0, 0, 0))[person] >= minimum for clip in range(clips)] for person in range(3)]
            best = scores.index(max(scores))
            hits.append(float(best < clips and any(of_person[best] for of_person in labels)))
            precisions.append(np.mean([compute_clip_precision(scores, of_person) for of_person in labels]))
        report[f"HL-min-{name}"] = {"HL-mAP": round_percent(precisions), "HL-Hit1": round_percent(hits)}
    return report


def draw_files(rng: np.random.Generator, count: int) -> tuple[list[Row], list[Row]]:
    """Draw queries and predictions with ties, equal windows, windows beyond the video, few and many windows and clips."""
    truth, predictions = [], []
    for qid in range(count):
        duration = int(rng.choice([40, 60, 150]))
        starts = rng.integers(0, duration - 2, int(rng.integers(1, 5)))
        windows = [[int(start), int(min(duration, start + rng.integers(2, 50)))] for start in starts]
        clips = sorted(rng.choice(duration // 2, size=int(rng.integers(1, 12)), replace=False).tolist())
        row = {"qid": qid, "vid": f"v{qid // 2}", "duration": duration, "query": "a dog runs", "relevant_windows": windows}
        ratings = rng.integers(0, 5, (len(clips), 3)).tolist()
        truth.append({**row, "relevant_clip_ids": clips, "saliency_scores": ratings})
        found = []
        for _ in range(int(rng.integers(1, 16))):
            start = float(rng.integers(0, duration))
            near = windows[int(rng.integers(len(windows)))]
            window = [near[0] + float(rng.integers(-3, 4)), near[1] + 4.0] if rng.random() < 0.5 else [start, start + 20.0]
            found.append([*window, float(rng.integers(0, 6)) / 5])
        saliency = (rng.integers(-4, 5, duration // 2 + int(rng.integers(-5, 6))) / 4).tolist()
        predictions.append({"qid": qid, "vid": row["vid"], "pred_relevant_windows": found, "pred_saliency_scores": saliency})
    return truth, predictions


def compare(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Require equal figures; a tie of rounding may fall either way with the order of a sum."""
    for group, values in expected.items():
        for name, value in values.items():
            assert found[group][name] == pytest.approx(value, abs=0.0101), (group, name)


def test_the_published_figures_of_a_model_are_reproduced_to_the_last_digit(shared_dir: Path) -> None:
    folder = shared_dir / "annotations" / "qvhighlights"
    truth = read_ground_truth(folder / "highlight_val_release.jsonl", reader=None, split=None)
    pairs = pair(truth, read_predictions(folder / "cg_detr_val_preds.jsonl"), shared_only=False)
    convention = QVHighlightsFiles()
    printed = json.dumps(convention.arrange(convention.score(pairs)), indent=4)
    assert printed == (folder / "cg_detr_val_metrics.json").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore:windows end after their video")
@pytest.mark.filterwarnings("ignore:no query has a")
@pytest.mark.parametrize("count", [1, 2, 3, 40])
@pytest.mark.parametrize("seed", range(5))
def test_random_files_agree_with_a_slow_evaluator(tmp_path: Path, seed: int, count: int) -> None:
    truth, predictions = draw_files(np.random.default_rng(seed), count)
    expected = evaluate_slowly(predictions, truth)
    rng = np.random.default_rng(seed)
    shuffled = [predictions[place] for place in rng.permutation(count)]
    found = score(tmp_path, shuffled, truth)
    assert set(found) == {"brief", *expected}
    compare(found, expected)


def test_the_brief_group_repeats_the_others(tmp_path: Path) -> None:
    truth, predictions = draw_files(np.random.default_rng(7), 30)
    with pytest.warns(UserWarning, match="windows end after their video"):
        found = score(tmp_path, predictions, truth)
    brief = found["brief"]
    assert brief["MR-full-R1@0.5"] == found["full"]["MR-R1"]["0.5"]
    assert brief["MR-full-mAP@0.75"] == found["full"]["MR-mAP"]["0.75"]
    assert brief["MR-short-mAP"] == found["short"]["MR-mAP"]["average"]
    assert brief["HL-min-VeryGood-Hit1"] == found["HL-min-VeryGood"]["HL-Hit1"]
    assert list(found) == ["brief", "HL-min-Fair", "HL-min-Good", "HL-min-VeryGood", "full", "long", "middle", "short"]


def make_rows(windows: list[list[float]] | None = None, saliency: list[float] | None = None) -> tuple[list[Row], list[Row]]:
    truth = {"qid": 1, "vid": "v", "duration": 20, "query": "a dog", "relevant_windows": [[0, 8]]}
    truth |= {"relevant_clip_ids": [0], "saliency_scores": [[4, 4, 4]]}
    row: Row = {"qid": 1}
    row |= {} if windows is None else {"pred_relevant_windows": windows}
    return [row | ({} if saliency is None else {"pred_saliency_scores": saliency})], [truth]


@pytest.mark.filterwarnings("ignore:no query has a")
def test_files_with_only_windows_or_saliency_give_only_their_figures(tmp_path: Path) -> None:
    assert set(score(tmp_path, *make_rows([[0, 8, 1]]))) == {"brief", "full", "long", "middle", "short"}
    assert set(score(tmp_path, *make_rows(None, [1, 0]))) == {"brief", "HL-min-Fair", "HL-min-Good", "HL-min-VeryGood"}


def test_a_length_without_queries_is_zero_like_in_public_with_a_warning(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="no query has a (middle|long) moment; its figures are 0"):
        assert score(tmp_path, *make_rows([[0, 8, 1]]))["brief"]["MR-long-mAP"] == 0


@pytest.mark.filterwarnings("ignore:no query has a")
def test_reversed_windows_are_misses_with_a_warning(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"windows end before they start and are misses: line 1 \(qid 1\)"):
        assert score(tmp_path, *make_rows([[9, 2, 1.0], [0, 8, 0.5]]))["brief"]["MR-full-mAP"] == 50


def test_a_reversed_window_that_public_code_counts_as_a_hit_is_refused(tmp_path: Path) -> None:
    message = r"a reversed window is as long as a true moment, .*; correct it: line 1 \(qid 1\)"
    with pytest.warns(UserWarning, match="windows end before they start"), pytest.raises(ValueError, match=message):
        score(tmp_path, *make_rows([[9, 1, 1.0]]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"relevant_clip_ids": [], "saliency_scores": []}, "qid 1: the truth has no saliency_scores"),
        ({"saliency_scores": [[4, 4]]}, "clip 0 of the truth has 2 ratings in a video of 10 clips"),
        ({"relevant_clip_ids": [10]}, "clip 10 of the truth has 3 ratings in a video of 10 clips"),
    ],
)
def test_saliency_needs_the_ratings_of_three_people(tmp_path: Path, changes: Row, message: str) -> None:
    predictions, truth = make_rows(None, [1.0])
    with pytest.raises(ValueError, match=message):
        score(tmp_path, predictions, [truth[0] | changes])


def test_a_file_with_nothing_to_score_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither pred_relevant_windows nor pred_saliency_scores is given"):
        score(tmp_path, *make_rows())
