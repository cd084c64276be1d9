"""Networks read the stored features unchanged."""

import numpy as np
import pytest

from search.networks import widen


def test_every_finite_float16_is_widened_exactly() -> None:
    numbers = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = numbers[np.isfinite(numbers)]
    wide = widen([finite, finite[::-1].copy()])
    assert wide.dtype == np.float32
    np.testing.assert_array_equal(wide, np.stack([finite, finite[::-1]]).astype(np.float32))
    assert (np.signbit(wide[0]) == np.signbit(finite)).all()  # also of zeros


def test_other_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        widen([np.zeros((2, 3), dtype=np.float32)])
