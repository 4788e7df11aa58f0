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

# It takes select.poll at its import; a patched process has none.
import inotify_simple

with warnings.catch_warnings():
    # eventlet warns at its import that it gets bug fixes only. That is known: it is kept in
    # few places, so that another library can replace it, and an operator can do nothing about it.
    # The filter is by text: the warning's class has no name before the import.
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    import eventlet
    import eventlet.wsgi

log = logging.getLogger(__name__)

__all__ = ["eventlet", "go_on", "nothing", "patch_everything"]


def patch_everything() -> None:
    """Patch the standard library: blocking calls let other greenlets run; may be called again.

    Call it before the modules of the application are imported: a name that was imported from a
    module before it was patched (`from time import sleep`) still blocks the hub.
    """
    # The first call runs a program to find the C library, which would hold the hub.
    with suppress(OSError):
        inotify_simple.INotify().close()
    eventlet.monkey_patch()
    # eventlet's notifies the hub of each file, and makes a hub for each native thread that opens
    # one.
    os.open = eventlet.patcher.original("os").open
    _let_native_threads_log()


def _let_native_threads_log() -> None:
    """Give logging locks of the system. While logging holds one, no other greenlet runs.

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
    """Switch to a greenlet from a callback of the hub, and log an error that ends it.

    After an error in a callback the hub would not call it again.
    """
    try:
        green.switch(*of)
    except eventlet.hubs.get_hub().SYSTEM_EXCEPTIONS:
        raise
    except BaseException:
        log.exception("a greenlet has failed")


def nothing(*of: Any) -> None:
    """Do nothing: a callback where one is required."""
