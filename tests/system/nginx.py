"""A real nginx before a server: deploy/nginx.conf on a free port, as it is or with edits.

Way in: Nginx; put_nginx and certificate, fixtures that a test file imports.
"""

import os
import re
import socket
import subprocess

import pytest

from tests.system.server import ROOT, need, wait_until

# What Debian's own nginx.conf has and matters here; everything else is put below a folder.
MAIN = """
daemon off;
user {user};
worker_processes 1;
pid nginx.pid;
error_log error.log info;
events {{ worker_connections 512; }}
http {{
    default_type application/octet-stream;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    access_log off;
    sendfile on;
    tcp_nopush on;
    gzip on;
    {http}
    include site.conf;
}}
"""


class Nginx:
    """It is started when made.

    edits: (what is in deploy/nginx.conf, what takes its place). http: lines beside the site.
    tls: the folder of a `cert` and a `key`.
    """

    def __init__(self, folder, upstream_port, edits=(), http="", tls=None):
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        site = (ROOT / "deploy" / "nginx.conf").read_text()
        for old, new in edits:
            assert old in site, f"deploy/nginx.conf has no {old!r}"
            site = site.replace(old, new)
        site = re.sub(r"(?m)^ *listen \[::\].*\n", "", site)
        listen = f"listen 127.0.0.1:{self.port};"
        if tls:
            files = f"ssl_certificate {tls}/cert; ssl_certificate_key {tls}/key;"
            listen = f"listen 127.0.0.1:{self.port} ssl http2; {files}"
        # The first one is that of all other names.
        site = site.replace("    listen 80;", f"    {listen}")
        names = "headwater.example 127.0.0.1 localhost a.localhost"
        site = site.replace("server_name headwater.example;", f"server_name {names};")
        site = site.replace("127.0.0.1:8000", f"127.0.0.1:{upstream_port}")
        folder.joinpath("site.conf").write_text(site)
        # As root it would serve as nobody, who may not enter the tests' folders.
        user = "root root" if os.geteuid() == 0 else "nobody"
        folder.joinpath("nginx.conf").write_text(MAIN.format(user=user, http=http))
        with open(folder / "output", "wb") as output:
            self.process = subprocess.Popen(
                ["nginx", "-p", folder, "-c", "nginx.conf"], stdout=output, stderr=output
            )

    def wait_until_it_answers(self):
        wait_until(lambda: self._accepts() or self.process.poll() is not None, "nginx answers")
        assert self.process.poll() is None, self.folder.joinpath("output").read_text()
        return self

    def _accepts(self):
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def base(self):
        return f"http://127.0.0.1:{self.port}"

    def close(self):
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture(scope="module")
def put_nginx(tmp_path_factory):
    """A verb: put_nginx(port, …) returns an Nginx before who listens on port."""
    need("nginx")
    made = []

    def put_nginx(port, *args, **options):
        made.append(Nginx(tmp_path_factory.mktemp("nginx"), port, *args, **options))
        return made[-1].wait_until_it_answers()

    yield put_nginx
    for nginx in made:
        nginx.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for localhost that nobody has signed, and its key."""
    need("openssl")
    folder = tmp_path_factory.mktemp("tls")
    options = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", folder / "key", "-out", folder / "cert"]
    subprocess.run(
        ["openssl", *options, "-days", "2", *names, *files], check=True, capture_output=True
    )
    return folder
