"""Fixtures of running services."""

from typing import Any

import pytest


@pytest.fixture(scope="session")
def small_environment(small_project: Any) -> dict[str, str]:
    """The environment variables of a service over the small project."""
    return {
        "CUEPOINT_BUNDLE": str(small_project.bundle),
        "CUEPOINT_INDEX": str(small_project.index),
        "CUEPOINT_MEDIA_ROOT": str(small_project.raw),
    }
