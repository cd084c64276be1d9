"""Every request that /openapi.json allows, and many that it does not, get a documented answer and never a server error."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

pytestmark = pytest.mark.slow

CONSTRAINED = [
    "POST /search",
    "POST /search/batch",
    "POST /localize",
    "POST /localize/upload",
    "GET /videos",
    "POST /videos",
    "GET /thumbnails/{video_id}/{number}.jpg",
    "POST /feedback",
]
TAKING_ALL = [  # any text may be an id, and some operations take no input
    "GET /videos/{video_id}",
    "DELETE /videos/{video_id}",
    "GET /media/{video_id}",
    "GET /examples",
    "GET /version",
    "GET /metrics",
]
CASES = [
    *((name, mode) for name in CONSTRAINED for mode in GenerationMode),
    *((name, GenerationMode.POSITIVE) for name in TAKING_ALL),
]
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]


@pytest.fixture(scope="module")
def operations(api: Any) -> dict[str, Any]:
    schema = schemathesis.openapi.from_url(f"{api.server.url}/openapi.json")
    refusals = schema.config.checks.negative_data_rejection
    refusals.expected_statuses = [*refusals.expected_statuses, "413"]  # a generated body may be larger than the limit, too
    found = [result.ok() for result in schema.get_all_operations()]
    return {f"{operation.method.upper()} {operation.path}": operation for operation in found}


def test_every_operation_is_fuzzed(operations: dict[str, Any]) -> None:
    assert sorted(operations) == sorted([*CONSTRAINED, *TAKING_ALL])


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_the_service_answers_as_its_description_says(operations: dict[str, Any], name: str, mode: GenerationMode) -> None:
    checks = [*CHECKS, negative_data_rejection] if mode is GenerationMode.NEGATIVE else CHECKS

    @settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operations[name].as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        case.call_and_validate(checks=checks)

    run()
