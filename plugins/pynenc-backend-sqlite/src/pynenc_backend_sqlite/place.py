"""Where the file is: from a URL or the settings to a path that SQLite can be trusted with."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pynenc_backend_sqlite.settings import SQLiteSettings
from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.ports.runtime import StoreView

MOUNTS = Path("/proc/mounts")
NETWORK_FILE_SYSTEMS = frozenset(
    {"afs", "ceph", "cifs", "coda", "fuse.ceph", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "gfs2", "glusterfs", "lustre", "ncpfs"}
    | {"nfs", "nfs4", "ocfs2", "smb3", "smbfs"},
)


def locate(app: StoreView, part: str) -> tuple[Path, bool]:
    """Return the absolute path of the file that an app stores in, and whether nobody chose it.

    `sqlite:///jobs.db` is relative to the current directory, `sqlite:////var/jobs.db` absolute; `sqlite://` is the
    path of the settings, or `.pynenc/<app_id>.db` under the current directory.
    """
    url = app.store_url(part)
    chosen = url.partition("://")[2].removeprefix("/") or app.section(SQLiteSettings).path
    if chosen == ":memory:" or "?" in chosen:
        problem = f"{chosen!r} would be the name of a file"
        remedy = "for a store in memory use memory://; options stand in [tool.pynenc.sqlite]"
        raise BackendUnavailableError(store_name(Path(chosen)), problem, remedy)
    default = Path(".pynenc") / (re.sub(r"[^A-Za-z0-9._-]", "_", app.app_id) + ".db")
    return Path(os.path.abspath(chosen or default)), not chosen  # noqa: PTH100 - Path.resolve would follow links, which may change


def store_name(path: Path) -> str:
    """Return how errors name the store."""
    return f"SQLite store {path}"


def make_file(path: Path, *, default: bool) -> None:
    """Make the file, readable by its owner only, unless it is there; the directory too where it is the default one.

    Raises BackendUnavailableError when its directory is missing or on a network file system, or it cannot be made.
    """
    try:
        if default:
            path.parent.mkdir(mode=0o700, exist_ok=True)
        problem, remedy = _unfit(path)
        if not problem:
            _make(path)
    except PermissionError:
        if path.is_file():
            return  # SQLite says what may not be done with it
        problem, remedy = f"nothing may be written in {path.parent}", "change its permissions, or name another place"
    except OSError as error:
        problem, remedy = error.strerror or str(error), ""
    if problem:
        raise BackendUnavailableError(store_name(path), problem, remedy)


def _make(path: Path) -> None:
    """Make the file where there is none. One that is there is never opened here.

    To close it again would drop the locks that this process's connections hold on it, and the next process to leave would take
    itself for the last one and remove the log from under them.
    """
    try:
        empty = not path.stat().st_size
    except FileNotFoundError:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        empty = True
    if empty:  # made just now, or an empty one that somebody made for us
        path.chmod(0o600)


def _unfit(path: Path) -> tuple[str, str]:
    """Return what is wrong with a place, and what to do about it; two empty strings for a good one."""
    if not path.parent.is_dir():
        return f"the directory {path.parent} does not exist", "create it, or name another place"
    if path.is_dir():
        return "it is a directory", "name a file with `url` in [tool.pynenc]"
    if kind := network_file_system(path.parent, MOUNTS):
        problem = f"its directory is on a network file system ({kind}), where SQLite's locks cannot be trusted"
        return problem, "name a file on a local disk with `url` in [tool.pynenc]"
    return "", ""


def network_file_system(directory: Path, mounts: Path) -> str:
    """Return the type of the network file system that a directory is on, or "" for a local one or where nobody can tell."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    real, best, kind = f"{directory.resolve()}/", "", ""  # as text: each process that opens a file comes here, and paths take 1 ms
    for line in lines:
        _, point, found, *_ = line.split(" ")
        if "\\" in point:
            point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)
        mounted = f"{point.rstrip('/')}/"
        if real.startswith(mounted) and len(mounted) >= len(best):
            best, kind = mounted, found
    return kind if kind in NETWORK_FILE_SYSTEMS else ""
