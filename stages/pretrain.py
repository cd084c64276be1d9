"""DVC stage `pretrain`: videos and training sentences -> data/encoder/ (encoders, metrics.json, curves.csv, run.json)."""

from corpus.records import load_corpus
from models.training.precision import require_device
from pipeline import paths
from pipeline.components.loading import load_pretraining
from pipeline.entry import run_stage
from pipeline.executors.machine import choose_device, count_workers, prepare_torch
from pipeline.lineage import collect_lineage
from pipeline.params import load_params
from pipeline.training.pretraining import Folders, PretrainPlan, pretrain_tracked


def main() -> None:
    """Read params and paths, train, and print the figures."""
    params = load_params()
    prepare_torch(count_workers())
    plan = PretrainPlan(*load_pretraining(params), seed=params.pretrain.seed)
    if plan.objective.training:
        require_device(plan.objective.training.precision, choose_device())
    result = pretrain_tracked(
        plan,
        load_corpus(paths.CORPUS),
        Folders(paths.RAW / params.corpus.name, paths.ENCODER, paths.find_cache_dir()),
        tags=collect_lineage([paths.CORPUS]),
    )
    if not plan.streams:
        print(
            f"pretrain: features come from files ({params.corpus.features}), so no video encoder and no text encoder is trained"
        )
    figures = ", ".join(f"{name} {value:.3f}" for name, value in result.best.items() if name != "epoch")
    print(f"pretrain: {len(result.curve)} epochs{figures and ': '}{figures}")


if __name__ == "__main__":
    run_stage(main, name="pretrain", slots=("pair", "encoder", "text_encoder", "objective", "optimizer", "schedule"))
