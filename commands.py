"""The commands of `flask --app wsgi`. They run beside a server or without one, and start nothing.

Way in: register_commands, called by wsgi.py.
"""

from __future__ import annotations

from flask import Flask

from settings import Settings


def register_commands(app: Flask, settings: Settings) -> None:
    """Add the commands to app. settings: whose catalogue and instance folder they are about."""
