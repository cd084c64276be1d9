"""Fixtures of published models: restores the environment that commands change."""

import os
from collections.abc import Iterator
from unittest.mock import patch

import pytest


@pytest.fixture(autouse=True)
def kept_environment() -> Iterator[None]:
    """Restore the environment variables of this process after a command."""
    with patch.dict(os.environ):
        for name in [name for name in os.environ if name.startswith("CUEPOINT_")]:
            del os.environ[name]
        yield
