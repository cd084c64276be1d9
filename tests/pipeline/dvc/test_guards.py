"""The private names of DVC that the guards replace are unchanged."""

import inspect

import dvc.output
import dvc_data.hashfile.cache
import dvc_data.hashfile.state
import pytest
from dvc.repo import Repo
from dvc_data.hashfile.transfer import TransferResult, transfer

from pipeline.dvc import guards as dvc_guards


def test_the_replaced_places_are_used_by_dvc() -> None:
    assert dvc.output.otransfer is transfer
    assert "otransfer(" in inspect.getsource(dvc.output.Output.commit)
    assert isinstance(inspect.getattr_static(dvc_data.hashfile.cache.Cache, "_sql"), property)
    assert list(inspect.signature(dvc_data.hashfile.state.State.__init__).parameters) == ["self", "root_dir", "tmp_dir", "ignore"]
    assert {"transferred", "failed"} <= set(TransferResult._fields)


def test_dvc_uses_the_guards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dvc.output, "otransfer", transfer)
    monkeypatch.setattr(dvc_data.hashfile.cache.Cache, "_sql", dvc_data.hashfile.cache.Cache._sql)
    monkeypatch.setattr(dvc_data.hashfile.state, "State", dvc_data.hashfile.state.State)
    dvc_guards._install_guards()
    assert dvc.output.otransfer is not transfer
    assert "from dvc_data.hashfile.state import State," in inspect.getsource(Repo.__init__)
