"""Licences of published networks: read from files beside the weights, and compared with the preset."""

from pathlib import Path

import pytest

from models.licence import read_licence, require_consent, require_stated
from pipeline.components.loading import load_pair


@pytest.mark.parametrize(
    ("readme", "licence", "expected"),
    [
        (None, None, None),
        ("---\nlicense: mit\ntags: [vision]\n---\n# CLIP", None, "mit"),
        ("---\r\nlicense: apache-2.0\r\n---\r\n", "MIT License\n", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: tongyi\n---\n", None, "tongyi"),
        ("---\nlicense: other\n---\n", None, "other"),
        ("# CLIP\nlicense: mit", "\n  MIT License\n\nCopyright", "MIT License"),
        ("---\nlicense: [broken\n---\n", None, None),
        ("---\n- a list\n---\n", None, None),
        ("---\ntags: [vision]\n---\n", None, None),
    ],
)
def test_the_licence_is_that_of_the_readme_otherwise_of_the_file(
    readme: str | None, licence: str | None, expected: str | None, tmp_path: Path
) -> None:
    for name, content in (("README.md", readme), ("LICENSE.txt", licence)):
        if content is not None:
            (tmp_path / name).write_bytes(content.encode())
    assert read_licence(tmp_path) == expected


@pytest.mark.parametrize(
    "licence", ["cc-by-nc-4.0", "CC BY-NC-SA 4.0", "Non-Commercial Use Only", "noncommercial", "research-only", "apple-amlr"]
)
def test_a_licence_that_forbids_commercial_use_must_be_accepted(licence: str) -> None:
    with pytest.raises(ValueError, match=f"'{licence}', which forbids commercial use; .* set accept_licence: true"):
        require_consent(licence, accepted=False, source="owner/model")
    require_consent(licence, accepted=True, source="owner/model")


@pytest.mark.parametrize("licence", ["mit", "apache-2.0", "bsd-3-clause", "ncsa", "bouncy", "other", None])
def test_other_licences_need_no_consent(licence: str | None) -> None:
    require_consent(licence, accepted=False, source="owner/model")


def test_another_licence_than_the_preset_states_is_refused() -> None:
    with pytest.raises(ValueError, match="owner/model is under the licence 'mit', but the preset states licence: 'apache-2.0'"):
        require_stated("mit", stated="apache-2.0", source="owner/model")


@pytest.mark.parametrize(("found", "stated"), [(None, "mit"), ("mit", None), ("mit", "mit"), (None, None)])
def test_a_licence_that_one_of_both_states_stands(found: str | None, stated: str | None) -> None:
    require_stated(found, stated=stated, source="owner/model")


@pytest.mark.parametrize("name", ["mobileclip2_s0", "mobileclip2_s2"])
def test_mobileclip2_is_refused_before_anything_is_read(name: str) -> None:
    pair = load_pair(name).expand()
    for start in (pair.video.start, lambda: pair.text.start([])):
        with pytest.raises(ValueError, match="mobileclip2-onnx is under the licence 'apple-amlr', which forbids"):
            start()
