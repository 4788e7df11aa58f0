"""The entry: `.venv/bin/gunicorn -c gunicorn.conf.py wsgi:app`, and commands: `flask --app wsgi`.

Monkey-patches before anything else is imported, reads the settings and builds the app. The worker
starts the work beside requests, once it has loaded this.
"""

import sys

from server.monkey_patching import patch_everything

# gunicorn's arbiter stops when a worker exits with this instead of starting it again and again.
WORKER_BOOT_ERROR = 3

# A command of flask: it runs without gunicorn and serves no requests.
IS_COMMAND = "gunicorn.arbiter" not in sys.modules
if not IS_COMMAND:
    if "flask" in sys.modules:
        print("headwater cannot start: import wsgi before Flask, which it patches", file=sys.stderr)
        sys.exit(WORKER_BOOT_ERROR)
    patch_everything()

import atexit  # noqa: E402
import gc  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402

from flask import Flask  # noqa: E402

from app import create_app  # noqa: E402
from auth import SecretUnusable, read_secret  # noqa: E402
from auth.native_threads import IN_ALL  # noqa: E402
from auth.request_scheduler import turn_paused  # noqa: E402
from commands import CHECK, register_commands  # noqa: E402
from server.hooks import WorkerHooks, give_hooks  # noqa: E402
from server.log_format import formatter_for  # noqa: E402
from server.native_pool import NativePool  # noqa: E402
from settings import Settings, SettingsError  # noqa: E402
from sources.errors import CatalogueError  # noqa: E402
from state import StateError  # noqa: E402
from state.takeover import check_alone  # noqa: E402

# No log line has these, and to name a green thread costs as much as the rest of the line.
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

problems: list[str] = []
try:
    settings = Settings.from_environ(os.environ)
    handler = logging.StreamHandler()
    handler.setFormatter(formatter_for(settings.log_format, handler.stream))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    if IS_COMMAND:
        check_alone(settings.instance)
    key = None if IS_COMMAND else read_secret(settings.instance / "secret.key")
    # The worker takes it from there for each request.
    mount = os.environ.get("SCRIPT_NAME", "").rstrip("/")
    native = NativePool(IN_ALL)
    # Registered before the parts that may need it, so that it stops last.
    atexit.register(native.stop)
    app = create_app(settings, run_native=native.execute, key=key, mount=mount)
except CatalogueError as error:
    if not IS_COMMAND:
        print(f"headwater cannot start:\n{error}", file=sys.stderr)
        sys.exit(WORKER_BOOT_ERROR)
    # A command has to work even then: to check the catalogue, or to withdraw a token.
    app, problems = Flask("app"), error.problems
    if CHECK not in sys.argv:
        how = f"`.venv/bin/flask --app wsgi {CHECK}` says why"
        print(f"headwater: the catalogue is wrong: {how}", file=sys.stderr)
except (SettingsError, StateError, SecretUnusable) as error:
    print(f"headwater cannot start:\n{error}", file=sys.stderr)
    sys.exit(WORKER_BOOT_ERROR)

register_commands(app, settings, problems)
parts = app.extensions.get("headwater")


def start() -> None:
    """Start the work beside requests."""
    assert parts is not None
    # A request would compile its template while all others wait: the largest takes up to 50 ms.
    for name in app.jinja_env.list_templates():
        app.jinja_env.get_template(name)
    # Imported objects are never freed. A full collection went through all of them, which held the
    # hub for 75 to 100 ms; without them, with a thousand clients, it takes a few.
    gc.collect()
    gc.freeze()
    # Objects of clients stay, too: with Python's own thresholds a storm of 5,000 clients made the
    # collector go through all of them five times, a tenth of their whole cost. Objects of one
    # request end with it.
    gc.set_threshold(2_000, 10, 50)
    for part in parts:
        try:
            part.start()
        except OSError as error:
            where = error.filename or settings.instance
            print(f"headwater cannot start:\n{where}: {error.strerror}", file=sys.stderr)
            sys.exit(WORKER_BOOT_ERROR)
        atexit.register(part.stop)


# A command may have no parts, and serves no requests.
if parts is not None:
    give_hooks(
        app,
        WorkerHooks(
            on_start=start,
            on_drain=parts.drain,
            refusals=app.extensions["refusals"],
            turn_at=parts.authenticator.turn_at,
            turn_paused=turn_paused,
        ),
    )
