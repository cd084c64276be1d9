"""DVC stage `train`: data/features/, data/encoder/, data/corpus/ -> data/checkpoints/<role>/, for one role."""

import os
import sys
from collections.abc import Sequence

from stages.support import paths
from stages.support.entry import run_stage
from stages.support.lineage import collect_lineage
from stages.support.params import TrainModels, load_params

ROLES = tuple(TrainModels.model_fields)


def read_role(arguments: Sequence[str]) -> str:
    """Return the role that the command line names.

    Raises:
        ValueError: when it names none or an unknown one, listing the roles.
    """
    if len(arguments) != 1 or arguments[0] not in ROLES:
        given = " ".join(arguments) or "nothing"
        raise ValueError(f"train needs one role of {', '.join(ROLES)}, got {given}; run: python -m stages.train localizer")
    return arguments[0]


def main() -> None:
    """Read role, params and paths, train, and print what was reached."""
    role = read_role(sys.argv[1:])
    params = load_params().train
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is loaded: threads that spin halve a shared machine
    from corpus.records import load_corpus
    from corpus.store import FeatureStore
    from models.exchange.encoder_files import load_encoders
    from stages.support.machine import count_workers, prepare_torch
    from stages.support.role_training import TrainInputs, load_plan, train_tracked

    plan = load_plan(role, getattr(params.models, role), params.seed)
    prepare_torch(min(4, count_workers()))  # more threads cost such small networks time
    result = train_tracked(
        plan,
        TrainInputs(load_corpus(paths.CORPUS), FeatureStore(paths.FEATURES), load_encoders(paths.ENCODER)),
        out_dir=paths.CHECKPOINTS / role,
        cache_dir=paths.find_cache_dir(),
        tags=collect_lineage([paths.CORPUS, paths.ENCODER, paths.FEATURES]),
    )
    figures = ", ".join(f"{name} {value:.3f}" for name, value in result.best.items() if name != "epoch")
    print(f"train {role}: kept epoch {result.best['epoch']:.0f} of {len(result.curve)}: {figures}")


if __name__ == "__main__":
    slots = (*ROLES, "loss", "optimizer", "schedule")
    run_stage(main, name="-".join(["train", *sys.argv[1:2]]), usage=f"{{{','.join(ROLES)}}}", slots=slots)
