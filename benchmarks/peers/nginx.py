"""nginx with one worker and sendfile, sending one folder; configured in a temporary one."""

from __future__ import annotations

import getpass
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.client import Address
from benchmarks.processes import free_port, running

INSTALL = "nginx is missing: apt install nginx-light"

# Debian has it where an ordinary user's PATH does not lead.
_PATH = os.environ.get("PATH", "") + ":/usr/sbin"

_CONFIG = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 512; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    default_type text/csv;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


def find_nginx() -> str | None:
    """Return the program, None when it is missing."""
    return shutil.which("nginx", path=_PATH)


def is_there() -> bool:
    return find_nginx() is not None


@contextmanager
def served(root: Path, folder: Path) -> Iterator[Address]:
    """Serve the files of root. folder: where its own files may be."""
    nginx = find_nginx()
    assert nginx is not None, INSTALL
    folder.mkdir()
    address = ("127.0.0.1", free_port())
    config = folder / "nginx.conf"
    # Started by root, its worker would become another user, who cannot read our files.
    user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
    config.write_text(_CONFIG.format(user=user, folder=folder, port=address[1], root=root))
    command = [nginx, "-e", "stderr", "-p", str(folder), "-c", str(config)]
    with running(command, address, folder / "log", os.environ, folder):
        yield address
