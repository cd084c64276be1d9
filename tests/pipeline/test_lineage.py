"""The hash of a pipeline's inputs, and the patch of uncommitted changes."""

from copy import deepcopy

from pipeline.lineage import hash_inputs

LOCK = {
    "schema": "2.0",
    "stages": {
        "train": {
            "cmd": "python -m stages.train",
            "deps": [{"path": "data/corpus", "md5": "a"}],
            "params": {"params.yaml": {"train.seed": 1}},
            "outs": [{"path": "data/checkpoints", "md5": "b"}],
        }
    },
}


def test_the_hash_of_inputs_changes_with_data_values_and_commands_and_not_with_outputs() -> None:
    hashes = {hash_inputs(LOCK)}
    for key, value in (("cmd", "other"), ("deps", [{"path": "data/corpus", "md5": "z"}]), ("params", {"params.yaml": {}})):
        changed = deepcopy(LOCK)
        changed["stages"]["train"][key] = value  # type: ignore[index]
        hashes.add(hash_inputs(changed))
    assert len(hashes) == 4
    changed = deepcopy(LOCK)
    changed["stages"]["train"]["outs"] = []  # type: ignore[index]
    assert hash_inputs(changed) == hash_inputs(LOCK)
