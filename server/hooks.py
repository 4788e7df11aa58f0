"""Functions that an application may give the worker, besides the answers to requests.

An application without hooks has the defaults, so any WSGI application runs on the worker.
Way in: give_hooks, for an application; find_hooks, for the worker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from server.monkey_patching import nothing


@dataclass(frozen=True)
class WorkerHooks:
    """See the module.

    on_start: called once the application is loaded. Work beside requests begins there, since
    commands load the application too. on_drain: called when the worker stops accepting, to end
    streams that would never end by themselves; the drain then leaves time to close the connections
    that were taken over. None: there is nothing to end. refusals: counts what the worker refuses or
    cuts, by the error's code. turn_at: returns a context in which the worker's own answers have
    their turn; called with the peer's address, "" for a Unix socket's. turn_paused: returns a
    context in which the turn of the present request is paused.
    """

    on_start: Callable[[], None] = nothing
    on_drain: Callable[[], None] | None = None
    refusals: Counter[str] = field(default_factory=Counter)
    turn_at: Callable[[str], AbstractContextManager[Any]] = nullcontext
    turn_paused: Callable[[], AbstractContextManager[None]] = nullcontext


def give_hooks(application: Any, hooks: WorkerHooks) -> None:
    """Attach hooks to application; the worker that serves it calls them."""
    application.worker_hooks = hooks


def find_hooks(application: Any) -> WorkerHooks:
    """Return the hooks of an application, or the defaults."""
    hooks: WorkerHooks = getattr(application, "worker_hooks", None) or WorkerHooks()
    return hooks
