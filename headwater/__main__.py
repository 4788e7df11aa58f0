"""`headwater` serves, as `make run` does; `headwater WORDS` is `flask --app wsgi WORDS`.

gunicorn's own settings come from GUNICORN_CMD_ARGS, those of the server from HEADWATER_….
Python files of the folder where it is called have no part in it: that folder is on no import path.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).absolute().parent
# In a wheel it is beside this file, in a checkout above it.
TREE = HERE / "tree" if (HERE / "tree").is_dir() else HERE.parent
# Settings that are paths, relative to the folder where the command is called; see settings.py.
PATHS = ("HEADWATER_INSTANCE", "HEADWATER_CATALOGUE", "HEADWATER_ACCESS_LOG")


def main() -> None:
    """Become the process that was asked for; its rooms, and those of its children, are TREE's."""
    words, environ = sys.argv[1:], _environ()
    if words:
        # Of --app flask imports from the folder that it names, and from no other.
        command = ["flask", "--app", str(TREE / "wsgi.py"), *words]
    else:
        # gunicorn imports from the folder that it is started in.
        os.chdir(TREE)
        command = ["gunicorn", "-c", str(TREE / "gunicorn.conf.py"), "wsgi:app"]
    os.execve(sys.executable, [sys.executable, "-m", *command], environ)


def _environ() -> dict[str, str]:
    """Return the environment of that process."""
    given = {"HEADWATER_INSTANCE": "instance", **os.environ}
    told = {name: given[name] for name in PATHS if given.get(name, "").lower() not in ("", "off")}
    paths = {name: str(Path(path).absolute()) for name, path in told.items()}
    path = os.pathsep.join(filter(None, [str(TREE), os.environ.get("PYTHONPATH")]))
    return given | paths | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}


if __name__ == "__main__":
    main()
