from __future__ import annotations

from pathlib import Path

import pytest

from docs.pages import ROOT
from docs.reads import read_settings, reads_of
from docs.reference import GENERATORS, generated_pages, regenerated
from docs.settings import documented
from pynenc_testkit import contracts

_HOW = "write it anew: PYTHONPATH=tests .venv/bin/python -m docs.reference"


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in generated_pages()])
def test_the_reference_says_what_the_code_says(page: Path) -> None:
    written, now = page.read_text(), regenerated(page.read_text())
    differing = [line for line in now.splitlines() if line not in written] + [line for line in written.splitlines() if line not in now]
    assert written == now, "\n".join([_HOW, *differing])


def test_every_part_that_the_code_knows_is_on_some_page() -> None:
    text = "".join(page.read_text() for page in generated_pages())
    assert [name for name in GENERATORS if f"<!-- generated: {name} -->" not in text] == []


def test_the_index_leads_to_every_page() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    pages = [str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md") if page.name != "index.md"]
    assert [page for page in pages if f"({page})" not in index and not page.startswith("decisions/")] == []


def test_every_contract_of_the_kit_is_told() -> None:
    page = (ROOT / "docs" / "how-to" / "test-a-plugin.md").read_text()
    assert [name for name in contracts.__all__ if f"`{name}`" not in page] == []


class TestSettings:
    def test_every_documented_one_is_read_by_something(self) -> None:
        unread = documented() - read_settings()
        assert unread == set(), "declare a setting with the change that reads it"

    def test_every_one_that_is_read_is_documented(self) -> None:
        assert read_settings() - documented() == set()

    @pytest.mark.parametrize(
        ("line", "read"),
        [
            ("return app.conf.app.url", {".url"}),
            ("return self.conf.grace_period_sec", {"runner.grace_period_sec"}),
            ("first, chosen = 1, app.conf.client_data; return chosen.disabled", {"client_data.disabled"}),
            ("return options.priority + self.engine.runner_settings.settle_batch", {"task.priority", "runner.settle_batch"}),
            ("return app.section(RunnerSettings).nonsense", {"runner.nonsense"}),
            ("app.conf.runner.settle_batch = 2", set()),
            ("return record.priority + self.disabled + app.conf.frozen", set()),
        ],
    )
    def test_a_read_is_told_from_what_has_the_same_name(self, line: str, read: set[str]) -> None:
        assert reads_of(f"def function(options: TaskSettings):\n    {line}\n") == read
