from __future__ import annotations

from docs.pages import ROOT, Role, blocks

_PAGE = ROOT / "docs" / "tutorial" / "write-a-runner.md"
_EXAMPLE = ROOT / "examples" / "pynenc-runner-inline"
_OF_THE_READER = {"jobs.py"}
_UNPRINTED = {"README.md", "src/pynenc_runner_inline/py.typed"}


def test_what_the_tutorial_prints_is_the_example() -> None:
    printed = {block.detail: block.text for block in blocks(_PAGE) if block.role is Role.FILE and block.detail not in _OF_THE_READER}
    left_out = ("__pycache__", ".egg-info", ".pytest_cache")
    files = [path for path in _EXAMPLE.rglob("*") if path.is_file() and not any(part in str(path) for part in left_out)]
    written = {str(path.relative_to(_EXAMPLE)): path.read_text() for path in files}
    assert printed == {name: text for name, text in written.items() if name not in _UNPRINTED}
