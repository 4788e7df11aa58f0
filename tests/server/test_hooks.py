"""What the worker finds at an application, and does without."""

from __future__ import annotations

from flask import Flask

from server.hooks import WorkerHooks, find_hooks, give_hooks


def test_hooks_are_found_at_the_application():
    application, hooks = Flask(__name__), WorkerHooks(on_drain=print)
    give_hooks(application, hooks)
    assert find_hooks(application) is hooks


def test_an_application_needs_none():
    def application(environ, start_response): ...

    hooks = find_hooks(application)
    hooks.on_start()
    with hooks.turn_at("127.0.0.1"), hooks.turn_paused():
        hooks.refusals["idle"] += 1
    assert (hooks.on_drain, find_hooks(application).refusals) == (None, {})
