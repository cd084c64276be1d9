"""Fixture of numbered videos in the folder of a test."""

from pathlib import Path

import pytest

from numbered_clips import NumberedClips


@pytest.fixture
def clips(tmp_path: Path) -> NumberedClips:
    """Write numbered videos to the folder of the test."""
    return NumberedClips(tmp_path)
