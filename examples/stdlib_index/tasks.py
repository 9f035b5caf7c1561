"""The app and its tasks: a folder of the library waits for its modules and its subfolders, all the way down."""

from __future__ import annotations

from pynenc_core import Pynenc
from stdlib_index.counting import Index, count_module, list_folder, total

app = Pynenc("sqlite://", app_id="stdlib_index")  # no path: .pynenc/stdlib_index.db under the current directory


@app.task
def index_module(name: str) -> Index:
    """Count one file of the library, such as "json/decoder.py"."""
    return count_module(name)


@app.task
def index_package(name: str) -> Index:
    """Count everything below one folder of the library, such as "json"; the library itself is ""."""
    folder = list_folder(name)
    packages = index_package.parallelize([(inner,) for inner in folder.folders])
    modules = index_module.parallelize([(module,) for module in folder.modules])
    # Waiting here holds no slot of the runner: the children run on it meanwhile.
    return total([*modules.ordered_results(), *packages.ordered_results()])
