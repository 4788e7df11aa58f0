"""What the worker finds beside an application, and does without."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from server.hooks import WorkerHooks, find_hooks


@pytest.fixture
def module(monkeypatch):
    made = ModuleType("an_application")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made


def test_hooks_are_found_beside_the_application(module):
    module.hooks = WorkerHooks(on_drain=print)
    assert find_hooks("an_application:app") is module.hooks


@pytest.mark.parametrize("address", ["an_application:make()", "an_application", "not_loaded:app"])
def test_an_application_needs_none(module, address):
    hooks = find_hooks(address)
    hooks.on_start()
    with hooks.turn_at("127.0.0.1"), hooks.turn_paused():
        hooks.refusals["idle"] += 1
    assert (hooks.on_drain, find_hooks(address).refusals) == (None, {})
