"""Nchan, nginx's module for publish and subscribe, as Debian packages it: one worker, in memory.

What is POSTed to /publish goes to all who listen at /listen, by WebSocket or Server-Sent Events.
The module is taken from where `apt install libnginx-mod-nchan` puts it; if it is not there, the
package is fetched by apt and unpacked below a folder, which needs no rights. Way in: served.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.client import Address
from benchmarks.peers.nginx import INSTALL, find_nginx
from benchmarks.processes import DidNotStart, free_port, running

PACKAGE = "libnginx-mod-nchan"
_MODULE = Path("usr/lib/nginx/modules/ngx_nchan_module.so")
FETCH_S = 60

_CONFIG = """
load_module {module};
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 12000; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    nchan_shared_memory_size 256M;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /publish {{ nchan_publisher http; nchan_channel_id bench; }}
        location = /listen {{
            nchan_subscriber websocket eventsource;
            nchan_channel_id bench;
            nchan_subscriber_first_message {first};
        }}
    }}
}}
"""


@contextmanager
def served(folder: Path, *, first: str = "newest") -> Iterator[tuple[Address, int]]:
    """Serve one channel; hand out the address and the process.

    folder: where the module may be unpacked. first: what a listener begins with, `newest` or
    `oldest`. Raises DidNotStart.
    """
    nginx, module = find_nginx(), _find_module(folder)
    if nginx is None:
        raise DidNotStart(INSTALL)
    address = ("127.0.0.1", free_port())
    own = folder / "nchan-run"
    own.mkdir(exist_ok=True)
    user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
    config = own / "nginx.conf"
    text = _CONFIG.format(module=module, user=user, folder=own, port=address[1], first=first)
    config.write_text(text)
    command = [nginx, "-e", "stderr", "-p", str(own), "-c", str(config)]
    with running(command, address, own / "log", os.environ, own) as pid:
        yield address, pid


def _find_module(folder: Path) -> Path:
    fetched = folder / "nchan" / _MODULE
    for module in (Path("/", _MODULE), fetched):
        if module.exists():
            return module
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise DidNotStart(f"Nchan is missing: apt install {PACKAGE}")
    unpacked = folder / "nchan"
    unpacked.mkdir(exist_ok=True)
    for command in (["apt-get", "download", PACKAGE], ["sh", "-c", f"dpkg -x {PACKAGE}*.deb ."]):
        done = subprocess.run(
            command, cwd=unpacked, capture_output=True, text=True, timeout=FETCH_S, check=False
        )
        if done.returncode:
            raise DidNotStart(f"Nchan is missing: apt install {PACKAGE}: {done.stderr[-200:]}")
    return fetched
