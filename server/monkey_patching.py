"""Monkey-patching: eventlet imported quietly, and the call that patches a process.

Way in: patch_everything, for wsgi.py first thing and for the worker after the fork. Importing this
patches nothing: gunicorn's arbiter imports it through server.worker and has to stay an ordinary
blocking process.
"""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import suppress
from typing import Any

# It takes select.poll as it is imported, which is gone once the process is patched.
import inotify_simple

with warnings.catch_warnings():
    # eventlet warns at its import that it gets bug fixes only. That is known and decided: DESIGN.md
    # keeps it in few places, so that another library can take its place, and an operator can do
    # nothing about it. The filter is by text: the warning's class has no name before the import.
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    import eventlet
    import eventlet.wsgi

log = logging.getLogger(__name__)

__all__ = ["eventlet", "go_on", "nothing", "patch_everything"]


def patch_everything() -> None:
    """Patch the standard library so that what blocks lets other greenlets run; again is harmless.

    Must come before the modules of the application are imported: a name that was taken from a
    module before it was patched (`from time import sleep`) goes on blocking the hub.
    """
    # The first one asks a program for the C library, which would hold the hub.
    with suppress(OSError):
        inotify_simple.INotify().close()
    eventlet.monkey_patch()
    # eventlet's notifies the hub of each file, and makes a hub for each native thread that opens
    # one.
    os.open = eventlet.patcher.original("os").open
    _let_native_threads_log()


def _let_native_threads_log() -> None:
    """Give logging locks of the system. It never lets other greenlets run while it has one.

    A native thread that finds a lock of eventlet's taken would wait without end: no hub wakes it.
    """
    native: Any = eventlet.patcher.original("threading")
    module: Any = logging
    module.threading = native
    module._lock = native.RLock()
    for reference in module._handlerList:
        if (handler := reference()) is not None:
            handler.createLock()


def go_on(green: Any, *of: Any) -> None:
    """Switch to a greenlet from a callback of the hub, and log the error that it may end with.

    The hub calls back no more where an error comes out.
    """
    try:
        green.switch(*of)
    except eventlet.hubs.get_hub().SYSTEM_EXCEPTIONS:
        raise
    except BaseException:
        log.exception("a greenlet has failed")


def nothing(*of: Any) -> None:
    """Do nothing: where a callback is due that has nothing to do."""
