"""gunicorn's settings for Headwater, and the checks before it listens.

Run `gunicorn wsgi:app` in the project's folder: gunicorn finds this file by its name. A start that
cannot work (an old Python, a bad setting, a second server, a busy port) ends with one line that
says what to do, never with a traceback. `python gunicorn.conf.py` runs the checks that do not take
the instance folder: `make run` begins with that.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 (gunicorn itself starts on older ones)
    sys.exit("headwater needs Python 3.11 or newer; this is " + sys.version.split()[0])

import errno
import fcntl
import os
import re
import resource
import socket
import subprocess
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Any

from gunicorn.errors import HaltServer

from auth import Tokens
from auth.origins import is_loopback
from server.access_log import log_taken_over, make_logger_class
from server.worker import make_worker_class
from settings import Settings, SettingsError
from state import State, StateError, holder
from state.errors import SAVE_FIRST, WITHOUT_STATE
from state.takeover import check_alone

try:
    _settings = Settings.from_environ(os.environ)
except SettingsError as error:
    sys.exit(f"headwater: {error}")

_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host

proc_name = "headwater"
bind = f"{_host}:{_settings.port}"
worker_class = make_worker_class(
    body_s=_settings.body_s,
    stall_s=_settings.stall_s,
    # A proxy connects for others: only the head tells the client, and so the quota.
    most_pending=0 if _settings.proxies else _settings.connections_pending,
)
# `workers` is not set, so that nworkers_changed sees each way to set more than one.
worker_connections = _settings.connections
# The heartbeat is written every half second; a hub that is held for 30 s will not recover.
timeout = 30
graceful_timeout = 30
# Longer than the 60 s of common proxies, so that the proxy closes an idle connection: the other way
# round, a request may meet the close.
keepalive = 75
# The longest line that gunicorn accepts: a selection may list hundreds of values.
limit_request_line = 8190
# A browser behind two proxies sends 30 fields; each may have 8 KiB, and all are read on the hub.
limit_request_fields = 64
# The heartbeat is a change to a file, which must not wait for a busy disk.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
# The tests show the strictness of this parser. `auto` would take another one if it is installed,
# which saves 2 of 200 us (docs/decisions/0017-what-a-request-costs.md).
http_parser = "python"
# werkzeug's ProxyFix finds the clients behind proxies, if HEADWATER_PROXIES says there are any.
forwarded_allow_ips = ""
# The logger writes the access log; gunicorn's would not be JSON.
accesslog = None
logger_class = make_logger_class(_settings.access_log_path, _settings.log_format)
post_request = log_taken_over
errorlog = "-"
# On by default since gunicorn 25.1: a socket in $HOME/.gunicorn or $XDG_RUNTIME_DIR, served by a
# thread of the arbiter, that is not used here. HTTP/2 is off by default.
control_socket_disable = True

# A process that was killed with -9 may hold its files some milliseconds more, until its last thread
# is gone; a worker whose arbiter was killed notices within half a second.
LOCK_WAIT_S = 2.0
LOCK_RETRY_S = 0.05
# The arbiter does nothing else meanwhile. Half of the time that a worker may be silent.
CHECK_S = 15


def on_starting(server: Any) -> None:
    """Take the instance folder and see that the ports are free; end with one line otherwise."""
    server.instance_lock = _lock(_settings.instance)  # on the arbiter: a reload drops this module
    server.handle_hup = partial(_reload_if_right, server, server.handle_hup)
    if _settings.access_log_path is not None:
        _make_folder(_settings.access_log_path.parent)
    server.log.warning("%s", _check_addresses(server.cfg.address))
    server.state_identity = _use_state(server.instance_lock)
    # Each client needs a descriptor, and 1,024 is a common limit: take as many as are allowed.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def pre_fork(server: Any, worker: Any) -> None:
    """End the server rather than start a worker without the tokens that were there."""
    if problem := _problem_of_state(server):
        server.log.error("no worker is started: %s", problem)
        raise HaltServer(problem, 1)


def nworkers_changed(server: Any, new_value: int, old_value: int | None) -> None:
    """Keep one worker: end a start with more, and undo changes by SIGTTIN or a reload.

    One hub carries thousands of clients; live feeds and the journal's writers are state of one
    process, and its folder is locked. Several processes need a journal that they can share.
    """
    if old_value is None and new_value != 1:
        sys.exit(
            f"headwater runs one worker, not {new_value}:"
            " start it without -w, --workers, WEB_CONCURRENCY and `workers`"
        )
    if new_value > 1:
        server.log.warning("headwater runs one worker: workers=%d is ignored", new_value)
        server.cfg.set("workers", 1)
        server.num_workers = 1


def _reload_if_right(server: Any, reload: Any) -> None:
    """Reload if state.db is in place and the catalogue can be served, else log why not.

    gunicorn stops if a worker cannot boot. The catalogue is checked by a process beside the
    arbiter, which never imports Flask.
    """
    if problem := _problem_of_state(server):
        server.log.error("reload refused, nothing is changed: %s", problem)
        return
    if _settings.catalogue is None:
        reload()
        return
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "catalogue"]
    try:
        checked = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=CHECK_S,
            errors="backslashreplace", check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        server.log.error("reload refused, nothing is changed: the check failed: %s", error)
        return
    if not checked.returncode:
        reload()
        return
    problems = (checked.stdout or checked.stderr).splitlines()
    server.log.error("reload refused, nothing is changed: problems=%d", len(problems))
    for problem in problems:
        server.log.error("%s", problem)


def _use_state(lock: IO[str]) -> holder.Identity:
    """Return the identity of state.db, and note it in the lock for commands and workers."""
    try:
        with closing(State(_settings.instance)) as state:
            identity = state.make()
        holder.note(lock, identity)
    except (StateError, OSError) as error:
        sys.exit(f"headwater: {error}")
    return identity


def _problem_of_state(server: Any) -> str | None:
    """Return why the state.db of this server's start can no longer be used, None if it can."""
    path = _settings.instance / "state.db"
    # An arbiter that an earlier version started has noted none.
    in_use = getattr(server, "state_identity", None)
    with suppress(OSError):
        if in_use in (None, holder.identity_of(path)):
            if not holder.misses_log(path):
                return None
            return f"{path}-wal was removed: {SAVE_FIRST}"
    return (
        f"{path} is gone or was replaced: put it back, or stop the server and put a backup in its"
        f" place. {WITHOUT_STATE}"
    )


def _lock(folder: Path) -> IO[str]:
    """Return the locked file; the kernel unlocks it when the last process that holds it ends."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Locked as long as the server lives. A user who may not open the file cannot lock it.
        file = open(folder / holder.LOCK, "a", opener=partial(os.open, mode=0o600))  # noqa: SIM115
        ends = monotonic() + LOCK_WAIT_S
        while not _is_locked(file):
            if monotonic() > ends:
                sys.exit(
                    f"headwater: another server uses {folder}: {_holder_of(file)} has locked"
                    f" {file.name}: stop it or set HEADWATER_INSTANCE"
                )
            sleep(LOCK_RETRY_S)
        file.truncate(0)
    except OSError as error:
        sys.exit(f"headwater: {folder} cannot be used, set HEADWATER_INSTANCE: {error.strerror}")
    return file


def _is_locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder_of(file: IO[str]) -> str:
    """Return the process that has locked the file, for a message. Source: proc_locks(5)."""
    status = os.fstat(file.fileno())
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    unknown = "an unknown process"
    try:
        locks = Path("/proc/locks").read_text()
        found = re.search(rf": FLOCK .* ([0-9]+) {device}:{status.st_ino} ", locks)
        if found is None:
            return unknown
        process = Path("/proc", found[1])
        name, user = (process / "comm").read_text().strip(), process.stat().st_uid
    except OSError:
        # Not Linux, or a process that this container cannot see.
        return unknown
    return f"process {found[1]} ({name}) of the user {user}"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        sys.exit(f"headwater: {folder} cannot be made, set HEADWATER_ACCESS_LOG: {error.strerror}")


def _check_addresses(addresses: list[Any]) -> str:
    """Return a line about access; end if a port is busy or cannot be bound."""
    if not {"GUNICORN_FD", "LISTEN_FDS"} & os.environ.keys():  # else the sockets are handed over
        for address in addresses:
            if isinstance(address, tuple):
                _check_free(*address)
    return _who_has_access(addresses)


def _who_has_access(addresses: list[Any]) -> str:
    """Return the line; end if other machines could connect and no setting allows that."""
    try:
        # Closed before a worker is forked: an open SQLite file belongs to one process.
        with closing(State(_settings.instance)) as state:
            tokens = Tokens(state)
            tokens.refresh()
    except StateError as error:
        sys.exit(f"headwater: {error}")
    hosts = [address[0] for address in addresses if isinstance(address, tuple)]
    if tokens.is_needed:
        return "Headwater's requests need a token"
    if all(map(is_loopback, hosts)):
        return "there are no tokens: it listens to this machine only, whose users have full access"
    if _settings.open:
        return "there are no tokens, and HEADWATER_OPEN=1: everyone has full access"
    remedy = (
        ".venv/bin/flask --app wsgi tokens add NAME --scope …, or HEADWATER_OPEN=1 for everybody"
    )
    sys.exit(f"headwater: it does not listen on {hosts[0]} without tokens: {remedy}")


def _check_free(host: str, port: int) -> None:
    # gunicorn would try five times, a second apart, and then report only that it cannot connect.
    try:
        [(family, kind, _, _, address), *_] = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        where, remedy = f"port {port} on {host}", "set HEADWATER_PORT or stop the other server"
        if error.errno == errno.EADDRINUSE:
            sys.exit(f"headwater: {where} is in use: {remedy}")
        sys.exit(f"headwater: {where} cannot be listened on: {error.strerror}")


# If GUNICORN_CMD_ARGS may name other addresses, only gunicorn knows them.
if __name__ == "__main__" and "GUNICORN_CMD_ARGS" not in os.environ:
    try:
        check_alone(_settings.instance)
    except StateError as error:
        sys.exit(f"headwater: {error}")
    _check_addresses([(_settings.host, _settings.port)])
