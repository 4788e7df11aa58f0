"""The place of a run: the machine, the versions of everything measured, the commit."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "gunicorn Flask Werkzeug Flask-SocketIO python-socketio python-engineio eventlet greenlet "
    "apsw pyarrow polars isal zstandard"
)
PROGRAMS = {
    "sqlite3": ["sqlite3", "--version"],
    "nginx": ["nginx", "-v"],
    "node": ["node", "--version"],
    "curl": ["curl", "--version"],
}


def describe_machine() -> dict[str, Any]:
    """Return the machine as it stands, with how busy it is before we begin."""
    facts = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in facts if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load": os.getloadavg(),
    }


def describe_versions() -> dict[str, str | None]:
    """Return the versions of Python, our libraries and every peer; None for what is missing."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES.split():
        versions[package] = metadata.version(package)
    for program, command in PROGRAMS.items():
        versions[program] = _said_by(command) if shutil.which(program) else None
    return versions


def describe_commit(project: Path) -> str | None:
    """Return the commit of the tree, `+` when it has changed since; None without one."""
    commit = _said_by(["git", "-C", str(project), "rev-parse", "--verify", "--quiet", "HEAD"])
    changed = _said_by(["git", "-C", str(project), "status", "--porcelain"])
    return commit + "+" * bool(changed) if commit else None


def _said_by(command: list[str]) -> str:
    """Return the first line of a program's output."""
    said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return (said.stdout or said.stderr).partition("\n")[0].strip()[:40]
