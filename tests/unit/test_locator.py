"""How another process finds an app: by module and name."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pynenc_core import Pynenc
from pynenc_core.errors.runners import AppLocatorError
from pynenc_core.locator import load, locate


def write(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a module that can be imported for the time of the test."""
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a module with an app."""
    name = "locator_shop"
    text = "from pynenc_core import Pynenc\nclass Inner:\n    pass\napp = Pynenc('memory://', app_id='shop')\nInner.app = app\n"
    return write(tmp_path, name, text, monkeypatch)


class TestFinding:
    def test_an_app_is_found_under_the_name_in_its_module(self, shop: str) -> None:
        app = load(f"{shop}:app")
        assert isinstance(app, Pynenc)
        assert app.locator() == f"{shop}:app"
        assert load(app.locator()) is app
        assert load(f"{shop}.app") is app
        assert load(f"{shop}:Inner.app") is app

    def test_it_travels_as_its_name(self, shop: str) -> None:
        app = load(f"{shop}:app")
        assert pickle.loads(pickle.dumps(app)) is app  # noqa: S301 - made in this very line

    def test_one_of_the_started_script_cannot_be_found(self) -> None:
        with pytest.raises(
            AppLocatorError, match="it is made in the started script, `__main__`; move it to a module and import it from there"
        ):
            locate(object(), "__main__")

    def test_one_without_a_name_cannot_be_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "locator_empty", ModuleType("locator_empty"))
        with pytest.raises(AppLocatorError, match="no name at the top of that module is bound to it; assign it to one"):
            locate(object(), "locator_empty")

    def test_one_made_by_a_function_is_found_where_it_was_made_or_not_at_all(self) -> None:
        app = Pynenc("memory://", app_id="hidden")
        with pytest.raises(AppLocatorError, match=__name__):
            app.locator()


class TestLoading:
    @pytest.mark.parametrize("text", ["", "name", ":app", "module:"])
    def test_a_locator_has_two_parts(self, text: str) -> None:
        with pytest.raises(AppLocatorError, match="write it as module:attribute"):
            load(text)

    def test_a_missing_module_is_named(self) -> None:
        with pytest.raises(AppLocatorError, match="there is no module 'locator_nowhere' on the import path"):
            load("locator_nowhere:app")

    def test_a_missing_name_is_named(self, shop: str) -> None:
        with pytest.raises(AppLocatorError, match=f"module '{shop}' has no 'application'"):
            load(f"{shop}:application")

    def test_what_the_module_itself_raises_goes_through(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        broken = write(tmp_path, "locator_broken", "import locator_not_installed", monkeypatch)
        with pytest.raises(ModuleNotFoundError, match="locator_not_installed"):
            load(f"{broken}:app")
        worse = write(tmp_path, "locator_worse", "1 / 0", monkeypatch)
        with pytest.raises(ZeroDivisionError):
            load(f"{worse}:app")
