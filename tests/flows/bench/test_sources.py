"""What counts as the code of a component: what it runs, not what is said about it."""

from pathlib import Path

import pytest

from flows.bench import sources
from flows.bench.sources import find_sources, hash_sources, read_code
from models.localizers.tan2d import Tan2DParams
from models.losses.iou_bce import IoUBCEParams

MODELS = Path(sources.__file__).resolve().parents[2] / "models"


def test_the_code_of_a_localizer_is_its_file_and_its_layers_but_no_other_component_and_no_training() -> None:
    names = {str(path.relative_to(MODELS)) for path in find_sources([Tan2DParams])}
    assert {"localizers/tan2d.py", "layers/tan2d.py", "layers/sentence_lstm.py", "layers/map_convolution/stack.py"} <= names
    assert not any(name.startswith(("exchange/", "training/", "losses/")) or name.endswith("__init__.py") for name in names)
    assert "localizers/place_tan.py" not in names


def test_components_that_share_a_file_differ_by_their_others() -> None:
    assert hash_sources([Tan2DParams]) != hash_sources([Tan2DParams, IoUBCEParams])


@pytest.mark.parametrize(
    ("changed", "equal"),
    [
        ('"""Another text."""\nclass A:\n    """Other words."""\n    x = 1  # why\n', True),
        ('"""A text."""\nclass A:\n    """Words."""\n    x = 2\n', False),
    ],
)
def test_comments_and_docstrings_are_no_code(changed: str, equal: bool, tmp_path: Path) -> None:
    before, after = tmp_path / "before.py", tmp_path / "after.py"
    before.write_text('"""A text."""\nclass A:\n    """Words."""\n    x = 1\n')
    after.write_text(changed)
    assert (read_code(before) == read_code(after)) is equal
