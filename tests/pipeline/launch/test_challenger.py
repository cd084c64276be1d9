"""The registry's challenger: its nomination, and serving of the champion when the challenger is unusable."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpus.files import sha256_file, write_bytes
from pipeline.launch import serve
from pipeline.launch.challenger import nominate
from pipeline.launch.serve import choose_challenger
from pipeline.tracking.champion import challenge_champion
from pipeline.tracking.registry import ServedVersion
from pipeline.tracking.server import TrackingError, read_challenger, read_champion


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, ServedVersion | None]:
    """Replace the registry by a mapping from alias to version; fetch and unpack bentos without MLflow."""
    held: dict[str, ServedVersion | None] = {"champion": None, "challenger": None}

    def fetch(version: str, folder: Path) -> Path:
        write_bytes(folder / "bundle" / "cuepoint.bento", version.encode())
        return folder / "bundle"

    def unpack(archive: Path, _: Path, *, digest: str) -> Path:
        assert digest == sha256_file(archive)
        write_bytes(tmp_path / "home" / "bentos" / "cuepoint" / "abc" / "bento.yaml", archive.read_bytes())
        return tmp_path / "home"

    monkeypatch.setattr(serve, "find_champion", lambda: held["champion"])
    monkeypatch.setattr(serve, "find_challenger", lambda: held["challenger"])
    monkeypatch.setattr(serve, "fetch_version", fetch)
    monkeypatch.setattr(serve, "unpack_bento", unpack)
    return held


def build_version(tmp_path: Path, version: str, content: bytes) -> ServedVersion:
    write_bytes(tmp_path / "content", content)
    return ServedVersion(version, sha256_file(tmp_path / "content"))


def test_the_challenger_is_named_to_the_service(registry: dict[str, Any], tmp_path: Path, capsys: Any) -> None:
    registry["challenger"] = build_version(tmp_path, "8", b"8")
    variables = choose_challenger(tmp_path / ".cache", mode="shadow", share=0.25)
    assert variables == {
        "CUEPOINT_CHALLENGER": str(tmp_path / "home" / "bentos" / "cuepoint" / "abc"),
        "CUEPOINT_CHALLENGER_MODE": "shadow",
        "CUEPOINT_CHALLENGER_SHARE": "0.25",
    }
    assert capsys.readouterr().out == "fetching the bento of version 8, once\nchallenger: cuepoint:abc (shadow)\n"


def test_without_a_challenger_the_champion_is_served_and_the_command_is_named(
    registry: dict[str, Any], tmp_path: Path, capsys: Any
) -> None:
    assert choose_challenger(tmp_path, mode="share", share=0.1) == {}
    assert "without a challenger: the registry has none; run: cuepoint challenger" in capsys.readouterr().err


def test_a_challenger_that_is_the_champion_or_damaged_is_left_out(registry: dict[str, Any], tmp_path: Path, capsys: Any) -> None:
    registry["challenger"] = registry["champion"] = build_version(tmp_path, "8", b"8")
    assert choose_challenger(tmp_path / ".cache", mode="share", share=0.1) == {}
    assert "version 8 is the champion itself" in capsys.readouterr().err
    registry["challenger"] = build_version(tmp_path, "9", b"other bytes")
    assert choose_challenger(tmp_path / ".cache", mode="share", share=0.1) == {}
    assert "cuepoint.bento is damaged" in capsys.readouterr().err


def test_a_registry_that_fails_leaves_the_champion(
    registry: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def fail() -> None:
        raise TrackingError("MLflow cannot be used")

    monkeypatch.setattr(serve, "find_challenger", fail)
    assert choose_challenger(tmp_path, mode="share", share=0.1) == {}
    assert "MLflow cannot be used" in capsys.readouterr().err


@pytest.mark.slow
def test_a_bento_that_lost_may_still_be_the_challenger(finish: Callable[..., None]) -> None:
    finish(b"first", recall=0.5)
    assert challenge_champion().accepted
    with pytest.raises(ValueError, match=r"this bento is the champion \(version 1\); a challenger must be another bento"):
        nominate()
    finish(b"second", recall=0.4)
    assert not challenge_champion().accepted
    assert [nominate(), nominate()] == ["2", "2"]
    champion, challenger = read_champion(), read_challenger()
    assert champion is not None
    assert challenger is not None
    assert (champion.version, challenger.version) == ("1", "2")
