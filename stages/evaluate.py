"""DVC stage `evaluate`: data/corpus/, data/features/, data/encoder/, data/checkpoints/ -> data/reports/evaluation/.

`cuepoint score` scores prediction files, `cuepoint compare` compares two runs.
"""

from collections.abc import Mapping
from typing import Any

import torch

from evaluation.examiner import EvaluationInputs, EvaluationPlan, evaluate
from evaluation.tables.scores import HEADLINE, LOCALIZER
from pipeline import paths
from pipeline.entry import run_stage
from pipeline.executors.machine import count_workers
from pipeline.lineage import collect_lineage
from pipeline.params import load_params
from pipeline.tracking.tracked_evaluation import read_run_ids, track_evaluation

REPORT = paths.REPORTS / "evaluation"


def main() -> None:
    """Score the checkpoints of the working tree."""
    params = load_params()
    torch.set_num_threads(count_workers())
    inputs = EvaluationInputs(
        corpus_dir=paths.CORPUS,
        encoder_dir=paths.ENCODER,
        features_dir=paths.FEATURES,
        checkpoints_dir=paths.CHECKPOINTS,
    )
    plan = EvaluationPlan(search=params.search, **params.evaluate.model_dump())
    evaluation = evaluate(plan, inputs)
    evaluation.write(REPORT, raw_dir=paths.RAW / params.corpus.name)
    track_evaluation(
        REPORT,
        cache_dir=paths.find_cache_dir(),
        params={"evaluate": params.evaluate.model_dump(mode="json"), "search": params.search.model_dump(mode="json")},
        tags={"role": "evaluation"} | read_run_ids(paths.CHECKPOINTS) | collect_lineage([paths.CORPUS, paths.FEATURES]),
    )
    for split, group in evaluation.summary.items():
        print(describe_group(split, group))


def describe_group(split: str, group: Mapping[str, Any]) -> str:
    """Return the figures of the localizer on a split in one line."""
    if not group["queries"]:
        return f"{split}: no queries"
    ours, floor = group[LOCALIZER], group["floors"][group["best_floor"]]
    low, high = ours[f"{HEADLINE}_low"], ours[f"{HEADLINE}_high"]
    interval = "one video, no interval" if low is None else f"{100 * low:.1f} to {100 * high:.1f}"
    parts = [
        f"R@1 at IoU 0.5 {100 * ours[HEADLINE]:.1f} % ({interval})",
        f"best floor {group['best_floor']} {100 * floor[HEADLINE]:.1f} %",
    ]
    if "collection" in group:
        parts.append(f"collection R@10 {100 * group['collection']['R10']:.1f} %")
    return f"{split}: {', '.join(parts)}"


if __name__ == "__main__":
    run_stage(main, name="evaluate")
