"""The sqlite3 program writing rows as CSV into a file."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

TIMEOUT_S = 180
INSTALL = "sqlite3 is missing: apt install sqlite3"


def is_there() -> bool:
    return shutil.which("sqlite3") is not None


def export(database: Path, sql: str, into: Path) -> float:
    """Write the rows and return the seconds it took; the file is removed."""
    command = ["sqlite3", "-readonly", "-csv", "-header", str(database), sql]
    started_s = time.perf_counter()
    with into.open("wb") as file:
        subprocess.run(command, stdout=file, check=True, timeout=TIMEOUT_S)
    seconds = time.perf_counter() - started_s
    into.unlink()
    return seconds
