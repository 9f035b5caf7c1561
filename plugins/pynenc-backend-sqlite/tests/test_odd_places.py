"""Places that are not what they seem: names that would make files nobody meant, files that others leave open, files that go."""

from __future__ import annotations

from pathlib import Path

import pytest

from pynenc_backend_sqlite.settings import SQLiteSettings
from pynenc_backend_sqlite.state_backend import SQLiteStateBackend
from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_testkit.clock import ManualClock
from pynenc_testkit.stores import KitApp


def backend(url: str) -> SQLiteStateBackend:
    return SQLiteStateBackend(KitApp("shop", url, ManualClock(), {SQLiteSettings: SQLiteSettings()}))


@pytest.mark.parametrize("name", [":memory:", "jobs.db?mode=ro"])
def test_a_name_that_would_make_a_file_nobody_meant_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BackendUnavailableError) as refused:
        backend(f"sqlite:///{name}")
    assert str(refused.value) == (
        f"SQLite store {name} cannot be used: {name!r} would be the name of a file; "
        "for a store in memory use memory://; options stand in [tool.pynenc.sqlite]"
    )
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_that_others_could_read_becomes_ours_alone(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    path.touch(0o644)
    state = backend(f"sqlite:///{path}")
    state.prepare()
    state.close()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("replaced", [False, True])
def test_a_heartbeat_says_that_the_file_is_gone(tmp_path: Path, replaced: bool) -> None:
    path = tmp_path / "jobs.db"
    state = backend(f"sqlite:///{path}")
    state.prepare()
    state.beat(["r1"], 30)
    path.rename(tmp_path / "moved.db")
    if replaced:
        path.touch()
    with pytest.raises(BackendUnavailableError, match="its file was removed or replaced while it was in use; put it back, or restart"):
        state.beat(["r1"], 30)
    (tmp_path / "moved.db").replace(path)
    assert state.beat(["r1"], 30) == ()
    state.close()
