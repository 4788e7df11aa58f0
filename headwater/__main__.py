"""`headwater` serves, as `make run` does; `headwater WORDS` is `flask --app wsgi WORDS`.

gunicorn's own settings come from GUNICORN_CMD_ARGS, those of the server from HEADWATER_….
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
# In a wheel it is beside this file, in a checkout above it.
TREE = HERE / "tree" if (HERE / "tree").is_dir() else HERE.parent


def main() -> None:
    """Become the process that was asked for; its rooms, and those of its children, are TREE's."""
    words = sys.argv[1:]
    serve = ["gunicorn", "-c", str(TREE / "gunicorn.conf.py"), "wsgi:app"]
    command = ["flask", "--app", "wsgi", *words] if words else serve
    path = os.pathsep.join(filter(None, [str(TREE), os.environ.get("PYTHONPATH")]))
    environ = os.environ | {"PYTHONPATH": path}
    os.execve(sys.executable, [sys.executable, "-m", *command], environ)


if __name__ == "__main__":
    main()
