"""Moves of the alias `champion`: order, records, roll-back, and a kill between record and move."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.tracking import promotions
from pipeline.tracking.promotions import find_version, promote, read_moves, read_version, roll_back
from pipeline.tracking.registry import find_champion
from pipeline.tracking.server import TrackingError, read_champion, register_bundle

pytestmark = pytest.mark.slow


@pytest.fixture
def register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Return a function that registers a bundle with a digest in a registry of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "cuepoint.bento").write_bytes(b"bento")

    def add(digest: str) -> str:
        return register_bundle(bundle, digest=digest, metrics={}, tags={})

    return add


def find_served() -> str | None:
    champion = find_champion()
    return None if champion is None else champion.version


def test_moves_are_recorded_and_rolled_back_one_by_one(register: Callable[[str], str]) -> None:
    first, second, third = (register(digest) for digest in ("a", "b", "c"))
    for version in (first, second, third):
        promote(version, who="ann", why=f"gain of {version}")
    assert find_served() == third
    assert promote(third, who="ann", why="again") is None
    move = roll_back(who="bob", why="finds no goals")
    assert (move.kind, move.version, move.previous, move.who) == ("rollback", second, third, "bob")
    assert find_served() == second
    assert read_version(third).tags[promotions.WITHDRAWN_TAG] == "finds no goals"
    assert roll_back(who="bob", why="nor this one").version == first
    with pytest.raises(ValueError, match="version 1 has no recorded predecessor"):
        roll_back(who="bob", why="and this")
    assert find_served() == first
    assert [(move.number, move.kind, move.version) for move in read_moves()] == [
        (1, "promote", first),
        (2, "promote", second),
        (3, "promote", third),
        (4, "rollback", second),
        (5, "rollback", first),
    ]
    assert roll_back(who="bob", why="it was the data", to=third).version == third
    found = find_version("c")
    assert found is not None
    assert promotions.WITHDRAWN_TAG not in found.tags


def test_a_roll_back_without_a_champion_or_to_an_unknown_version_moves_nothing(register: Callable[[str], str]) -> None:
    with pytest.raises(ValueError, match="no champion; to train and promote one, run: cuepoint retrain"):
        roll_back(who="ann", why="why not")
    promote(register("a"), who="ann", why="first")
    with pytest.raises(TrackingError, match="99"):
        roll_back(who="ann", why="why not", to="99")
    assert find_served() == "1"
    assert len(read_moves()) == 1


@pytest.mark.fault
def test_a_kill_between_record_and_alias_leaves_the_champion_and_the_next_run_finishes_the_move(
    register: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    first, second = register("a"), register("b")
    promote(first, who="ann", why="first")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_registered_model_alias", die)
        with pytest.raises(KeyboardInterrupt):
            promote(second, who="ann", why="better")
    assert find_served() == first
    assert read_moves()[-1].version == second
    promote(second, who="ann", why="better")
    assert find_served() == second
    assert [move.number for move in read_moves()] == [1, 2]
    assert roll_back(who="ann", why="worse").version == first
    champion = read_champion()
    assert champion is not None
    assert champion.version == first
