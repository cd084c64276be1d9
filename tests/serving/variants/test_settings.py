"""Strict reading of a challenger's environment variables."""

import inspect
import re
from pathlib import Path

import pytest

from serving.variants import settings
from serving.variants.settings import find_challenger_settings


def test_without_a_folder_there_is_no_challenger() -> None:
    assert find_challenger_settings({"CUEPOINT_CHALLENGER_MODE": "shadow"}) is None
    assert find_challenger_settings({"CUEPOINT_CHALLENGER": ""}) is None


def test_unset_values_have_defaults() -> None:
    found = find_challenger_settings({"CUEPOINT_CHALLENGER": "/models/new"})
    assert found is not None
    assert (found.folder, found.mode, found.share) == (Path("/models/new"), "share", 0.1)
    assert (found.limits.min_requests, found.limits.window_s, found.limits.p95_margin_s) == (50, 3600, 0.05)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("MODE", "mirror", "CUEPOINT_CHALLENGER_MODE = 'mirror': it must be share or shadow"),
        ("SHARE", "1", "CUEPOINT_CHALLENGER_SHARE = 1: it must lie between 0 and 1"),
        ("SHARE", "ten", "CUEPOINT_CHALLENGER_SHARE = 'ten': it must be a number from 0 to 1"),
        ("SHARE", "nan", "CUEPOINT_CHALLENGER_SHARE = 'nan': it must be a number"),
        ("MIN_REQUESTS", "0", "CUEPOINT_CHALLENGER_MIN_REQUESTS = '0': it must be a number from 1 to 1e+09"),
        ("P95_MARGIN_MS", "-1", "CUEPOINT_CHALLENGER_P95_MARGIN_MS = '-1'"),
        ("TIMEOUT_S", "60", "it must be a number from 0.1 to 25"),
    ],
)
def test_a_bad_value_is_named(name: str, value: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        find_challenger_settings({"CUEPOINT_CHALLENGER": "x", f"CUEPOINT_CHALLENGER_{name}": value})


def test_the_docs_name_every_variable() -> None:
    names = re.findall(r'_read_number\(environment, "([A-Z0-9_]+)"', inspect.getsource(settings))
    docs = Path(__file__).parents[3].joinpath("docs", "challenger.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(CUEPOINT_CHALLENGER\w*)` \|", docs, flags=re.MULTILINE)
    assert set(rows) == {f"CUEPOINT_CHALLENGER{name}" for name in ("", "_MODE", *(f"_{one}" for one in names))}
