"""DVC stage `train`: data/features/, data/encoder/, data/corpus/ -> data/checkpoints/<role>/, for one role."""

import os
import sys
from collections.abc import Mapping, Sequence

from pipeline import paths
from pipeline.entry import run_stage
from pipeline.lineage import collect_lineage
from pipeline.params import TrainModels, load_params

ROLES = tuple(TrainModels.model_fields)


def read_role(arguments: Sequence[str]) -> str:
    """Return the role that the command line names.

    Raises:
        ValueError: listing the roles, when it names none or an unknown role.
    """
    if len(arguments) != 1 or arguments[0] not in ROLES:
        given = " ".join(arguments) or "nothing"
        raise ValueError(f"train needs one of the roles {', '.join(ROLES)}, got {given}; run: python -m stages.train localizer")
    return arguments[0]


def main() -> None:
    """Read role, params and paths, train, and print the figures."""
    role = read_role(sys.argv[1:])
    params = load_params().train
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is loaded; spinning threads slow a shared machine
    from corpus.records import load_corpus
    from corpus.store import FeatureStore
    from models.artefacts.encoder_files import load_encoders
    from models.training.precision import require_device
    from pipeline.executors.machine import choose_device, count_workers, prepare_torch
    from pipeline.training.inputs import TrainInputs
    from pipeline.training.role_training import train_tracked
    from pipeline.training.roles import load_plan

    plan = load_plan(role, getattr(params.models, role), params.seed)
    prepare_torch(min(4, count_workers()))  # more threads slow such small networks down
    if plan.chosen.training:
        require_device(plan.chosen.training.precision, choose_device())
    result = train_tracked(
        plan,
        TrainInputs(load_corpus(paths.CORPUS), FeatureStore(paths.FEATURES), load_encoders(paths.ENCODER)),
        out_dir=paths.CHECKPOINTS / role,
        cache_dir=paths.find_cache_dir(),
        tags=collect_lineage([paths.CORPUS, paths.ENCODER, paths.FEATURES]),
    )
    if not result.curve:
        reason = "the corpus has no training sentences" if plan.chosen.losses else "the preset has no losses"
        print(f"train {role}: {reason}, so nothing was trained")
        return
    print(f"train {role}: {describe(result.best, len(result.curve), plan.chosen.list_combinations())}")


def describe(best: Mapping[str, float], num_steps: int, combinations: Sequence[Mapping[str, object]]) -> str:
    """Say which of the epochs, or which of the combinations of values, was kept, and its figures."""
    figures = ", ".join(f"{name} {value:.3f}" for name, value in best.items() if "/" in name)
    if not combinations:
        return f"kept epoch {best['epoch']:.0f} of {num_steps}: {figures}"
    values = ", ".join(f"{name} = {value}" for name, value in combinations[int(best["combination"])].items())
    return f"chose {values} among {num_steps} combinations: {figures}"


if __name__ == "__main__":
    slots = (*ROLES, "loss", "optimizer", "schedule")
    run_stage(main, name="-".join(["train", *sys.argv[1:2]]), usage=f"{{{','.join(ROLES)}}}", slots=slots)
