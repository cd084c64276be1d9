"""The key of an arm's result: a hash of everything that its figures depend on."""

from collections.abc import Mapping
from typing import Any

from corpus.files import sha256_json
from flows.bench.arms import Arm
from flows.bench.examining import measure_arm
from pipeline.identity import hash_code
from pipeline.training.role_training import train_tracked


def compute_arm_key(arm: Arm, given: Mapping[str, Any]) -> str:
    """Return the hash of an arm's values and seed, of the code that trains and examines it, and of its inputs `given`."""
    code = hash_code(train_tracked, measure_arm, *map(type, arm.plan.chosen.list_parts()))
    return sha256_json({"plan": arm.plan.to_json(), "code": code, "given": dict(given)})[:16]
