"""The doctor: before a good nginx all is well; before a bad one it names the line that mends it."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy.doctor import Case, Site, Verdict, examine, remedies
from deploy.doctor.examination import FIRST, QUIET, REST, TOKEN
from deploy.doctor.transfers import MOST_ROWS, SMALL_ROWS
from tests.system.nginx import certificate, put_nginx  # noqa: F401 (fixtures)
from tests.system.server import CATALOGUE, ROOT, Database, Server, wait_until

DEPLOY = ROOT / "deploy"

# Its access log is a log that it serves, as in the sample, and one source is large.
MORE = (
    CATALOGUE
    + """
[logs.access]
path = "instance/logs/access.log"

[sources.wide]
database = "sqlite:///wide.db"
table = "wide"
"""
)

ON = "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering"
PASS = "location / {"
# What is edited in deploy/nginx.conf, as (old, new); the check that sees it, the remedy that it
# names. Other checks may see it as well.
BAD = {
    "asks by HTTP/1.0": ([("version 1.1;", "version 1.0;")], "seen-as", remedies.HTTP_1_1),
    "asks by HTTP/1.0, and it is recorded first": (
        [("version 1.1;", "version 1.0;")], "growing", remedies.HTTP_1_1
    ),
    "asks by HTTP/1.0, and there is no upgrade": (
        [("version 1.1;", "version 1.0;")], "websocket", remedies.HTTP_1_1
    ),
    "hands on what clients say of themselves": (
        [("proxy_set_header X-Forwarded-For   $remote_addr;", "")], "seen-as", remedies.CLIENT
    ),
    "takes downloads in": ([("proxy_buffering off;", f"{ON};")], "pace", remedies.UNBUFFERED),
    "holds events back": (
        # Chunks it would hand on at once.
        [("proxy_buffering off;", f"{ON};"), ("version 1.1;", "version 1.0;")],
        "events",
        remedies.UNBUFFERED,
    ),
    "does not hand on Upgrade": (
        [("proxy_set_header Upgrade    $http_upgrade;", "")], "websocket", remedies.UPGRADE
    ),
    "does not hand on Connection": (
        [("Connection $headwater_connection;", "Connection close;")],
        "websocket",
        remedies.CONNECTION,
    ),
    "takes small bodies only": ([("body_size 5m;", "body_size 1k;")], "large-body", remedies.BODY),
    "takes short addresses only": ([("4 16k;", "4 1k;")], "long-address", remedies.HEAD),
    "compresses": ([("gzip off;", "gzip on; gzip_types *;")], "compression", remedies.UNCOMPRESSED),
    "compresses, so nothing resumes": (
        [("gzip off;", "gzip on; gzip_types *; gzip_proxied any;")],
        "compression",
        remedies.UNCOMPRESSED,
    ),
    "keeps what is not to be kept": (
        [
            ("proxy_buffering off;", f"{ON} Cache-Control;"),
            ("proxy_cache off;", "proxy_cache kept; proxy_cache_valid any 1m;"),
        ],
        "cache",
        remedies.UNCACHED,
    ),
    "hands no Range on": (
        [("proxy_http_version", 'proxy_set_header Range ""; proxy_http_version')],
        "resume",
        remedies.RANGES,
    ),
    "takes the port away": ([("$host$headwater_port", "$host")], "origin", remedies.HOST),
    "has its own name for us": ([("$host$headwater_port", "headwater")], "server", remedies.HOST),
    "knows no Socket.IO": (
        [(PASS, f"location /socket.io/ {{ return 404; }} {PASS}")], "socket.io", remedies.PASS
    ),
    "cuts what is quiet": ([("timeout 1h;", "timeout 1s;")], "quiet-feed", remedies.IDLE),
    "passes nothing on": (
        [("proxy_pass http://headwater;", "return 200;")], "server", remedies.PASS
    ),
    "finds no server": ([("127.0.0.1:8000;", "127.0.0.1:1;")], "server", remedies.UPSTREAM),
}  # fmt: skip
CACHE = "proxy_cache_path cache keys_zone=kept:1m;"
HOLD_S = 2.5


@pytest.fixture(scope="module")
def logged(tmp_path_factory, fill):
    """A server that shows its log, with 30 MB to download."""
    folder = tmp_path_factory.mktemp("server")
    fill(folder)
    Database(folder / "wide.db").write(
        "create table wide (i integer primary key, text text)",
        "with recursive n(i) as (select 1 union all select i + 1 from n limit 220000)"
        " insert into wide select i, hex(zeroblob(60)) from n",
    )
    server = Server(folder, MORE, HEADWATER_PROXIES="1")
    yield server.start()
    server.clean_up()


@pytest.fixture(scope="module")
def found(logged, put_nginx):  # noqa: F811
    """What is found before each nginx, by its name; all at once, since it is mostly waiting."""
    sites = {name: put_nginx(logged.port, edits, CACHE) for name, (edits, _, _) in BAD.items()}
    with ThreadPoolExecutor(len(BAD)) as doctors:
        cases = [
            Case(sites[name].base, None, HOLD_S, [check]) for name, (_, check, _) in BAD.items()
        ]
        return dict(zip(BAD, doctors.map(lambda case: list(examine(case)), cases), strict=True))


def test_all_is_well_behind_deploys_nginx(logged, put_nginx):  # noqa: F811
    found = list(examine(Case(put_nginx(logged.port).base, hold_s=HOLD_S)))
    assert [each for each in found if each.verdict is not Verdict.OK] == []
    assert len(found) == 16
    # What it leaves behind, as docs/deploy.md says.
    exports = logged.get("/exports").json()["exports"]
    assert [each["rows"] for each in exports if each["kept"]] == [SMALL_ROWS]
    assert len(exports) in (3, 4)
    large = [each["selection"] for each in exports if not each["kept"]]
    assert all(50_000 <= int(each.removeprefix("limit=")) <= MOST_ROWS for each in large)


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_named_with_its_cure(found, name):
    _, check, remedy = BAD[name]
    finding = found[name][-1]
    assert (finding.check, finding.verdict) == (check, Verdict.WRONG), finding
    assert remedy in finding.remedies


def test_the_lines_of_nginx_are_those_of_deploys():
    text = " ".join((DEPLOY / "nginx.conf").read_text().split())
    assert [line for line in remedies.NGINX if line not in text] == []


def test_the_checks_are_those_of_the_docs():
    text = (ROOT / "docs" / "deploy.md").read_text()
    rows = re.findall(r"^\| (`.*?) \|", text.partition("| check |")[2], re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`(.*?)`", row)]
    assert sorted(names) == sorted([*FIRST, *TOKEN, *REST, QUIET])


def doctor(*words, env=None, cwd=DEPLOY, stdin=""):
    """Return the ended process, alone with the standard library."""
    command = [sys.executable, "-S", "-m", "doctor", *words]
    return subprocess.run(
        command, cwd=cwd, env=env, input=stdin, capture_output=True, text=True, timeout=60
    )


NOWHERE = {
    "a port that is closed": ("http://127.0.0.1:1", "wrong    address", "mend: listen 1;"),
    "TLS on a port that is closed": (
        "https://127.0.0.1:1",
        "wrong    address",
        "mend: listen 1 ssl http2;",
    ),
    "a name without an address": ("http://nobody.invalid", "has no address", "its DNS"),
}


@pytest.mark.parametrize(("url", "told", "remedy"), NOWHERE.values(), ids=NOWHERE.keys())
def test_nobody_is_there(url, told, remedy):
    said = doctor(url)
    assert said.returncode == 1
    assert told in said.stdout
    assert remedy in said.stdout


def is_open(url):
    """Return what is found where somebody listens, None elsewhere."""
    told = list(examine(Case(url)))
    return told if told[0].verdict is Verdict.OK else None


def test_a_server_that_is_no_headwater(free_port):
    server = [sys.executable, "-m", "http.server", "-b", "127.0.0.1", free_port]
    with subprocess.Popen(server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as other:
        try:
            told = wait_until(lambda: is_open(f"http://127.0.0.1:{free_port}"), "it listens")
        finally:
            other.terminate()
    assert told[-1].verdict is Verdict.WRONG
    assert "is no Headwater" in told[-1].told
    assert remedies.NAME in told[-1].remedies


@pytest.mark.parametrize("url", ["ftp://a", "http://", "a b:c"])
def test_what_is_no_address(url):
    assert doctor(url).returncode == 2


@pytest.fixture
def mumbler():
    """The address of a server that says something else than HTTP to one client."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def mumble():
            # The first connection only looks whether anybody is there.
            for _ in range(2):
                client, _ = listener.accept()
                client.sendall(b"220 mail.example ESMTP\r\n")
                client.close()

        thread = threading.Thread(target=mumble)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


def test_a_server_of_something_else(mumbler):
    *_, last = examine(Case(mumbler))
    assert (last.check, last.verdict, last.remedies) == (
        "server",
        Verdict.WRONG,
        (remedies.LISTEN,),
    )
    assert last.told.startswith("the answer is not HTTP")


# With TLS.


TLS = {
    "all is well": ([], "ok       origin", ""),
    "its scheme is not handed on": (
        [("proxy_set_header X-Forwarded-Proto $scheme;", "")], "wrong    origin", remedies.SCHEME
    ),
}  # fmt: skip


@pytest.mark.parametrize(("edits", "told", "remedy"), TLS.values(), ids=TLS.keys())
def test_behind_tls(logged, put_nginx, certificate, edits, told, remedy):  # noqa: F811
    nginx = put_nginx(logged.port, edits, tls=certificate)
    trusting = {**os.environ, "SSL_CERT_FILE": str(certificate / "cert")}
    said = doctor(f"https://localhost:{nginx.port}", "--only", "origin", "resume", env=trusting)
    assert told in said.stdout
    assert remedy in said.stdout
    assert said.returncode == (1 if remedy else 0), said.stdout
    if not remedy:
        # The same with a certificate that this machine has no reason to believe.
        said = doctor(f"https://localhost:{nginx.port}")
        assert (said.returncode, remedies.CERTIFICATE in said.stdout) == (1, True)


def test_the_wrong_scheme(logged, put_nginx, certificate):  # noqa: F811
    plain, secure = put_nginx(logged.port), put_nginx(logged.port, tls=certificate)
    (told,) = examine(Case(plain.base.replace("http", "https")))
    assert told.remedies == (remedies.LISTEN_TLS,)
    _, told = examine(Case(secure.base))
    assert told.told == f"TLS is spoken there: examine https://127.0.0.1:{secure.port}"


def test_a_reader_that_has_enough_is_no_mistake(logged):
    command = [sys.executable, "-S", "-m", "doctor", logged.base, "--only", "events", "cache"]
    with subprocess.Popen(
        command, cwd=DEPLOY, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as it:
        assert it.stdout.readline().startswith(b"ok       address")
        it.stdout.close()
        assert it.stderr.read() == b""


# The two ways to call it.


def test_it_stands_alone(logged, tmp_path):
    shutil.copytree(DEPLOY / "doctor", tmp_path / "doctor")
    said = doctor(logged.base, "--only", "events", "socket.io", cwd=tmp_path)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.count("ok ") == 4


def flask(server, *words):
    """Return the ended command, beside a server."""
    names = {"HEADWATER_CATALOGUE": "headwater.toml", "HEADWATER_INSTANCE": "instance"}
    environ = {name: str(server.folder / path) for name, path in names.items()}
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", "wsgi", *words],
        cwd=ROOT, env={**os.environ, **environ}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_it_is_a_command_of_flask(logged, free_port):
    said = flask(logged, "doctor", f"http://127.0.0.1:{free_port}")
    assert said.returncode == 1
    assert said.stdout.startswith("wrong    address")


# What takes no second.
TRIED = ["seen-as", "download", "growing", "resume", "cache", "origin", QUIET]


def test_with_tokens(serve, put_nginx):  # noqa: F811
    server = serve(catalogue=MORE.partition("[sources.wide]")[0])
    scopes = ["--scope", "read:*", "--scope", "subscribe:*"]
    token = flask(server, "tokens", "add", "me", *scopes).stdout.split()[-1]
    url = put_nginx(server.port).base
    wait_until(lambda: server.get("/exports").status == 401, "a token is needed")
    assert {each.verdict for each in examine(Case(url, token, 0.5, TRIED))} == {Verdict.OK}
    *_, last = examine(Case(url, token + "x", 0.5, TRIED))
    assert (last.check, last.verdict, last.remedies) == ("token", Verdict.WRONG, (remedies.TOKEN,))
    assert doctor(url, "--token", token + "x").returncode == 1
    path = server.folder / "token"
    path.write_text(f"{token}\n")
    cache = ("--only", "cache")
    ways = [
        doctor(url, *cache, env={"DOCTOR_TOKEN": token}),
        doctor(url, "--token-file", str(path), *cache),
        doctor(url, "--token-file", "-", *cache, stdin=f"{token}\n"),
    ]
    assert [way.stderr for way in ways] == [""] * 3
    assert all(re.search("^ok +token", way.stdout, re.MULTILINE) for way in ways)
    told = doctor(url, "--token", token, *cache)
    assert (told.returncode, "the list of processes shows --token" in told.stderr) == (0, True)
    address, healthy, *others = examine(Case(url, None, 0.5, TRIED))
    assert (address.verdict, healthy.verdict) == (Verdict.OK, Verdict.OK)
    assert {each.verdict for each in others} == {Verdict.SKIPPED}


NO_TOKENS = {
    "no file": (["--token-file", "/nowhere"], "No such file"),
    "an empty file": (["--token-file", "/dev/null"], "there is no token in /dev/null"),
    "nothing comes": (["--token-file", "-"], "there is no token in -"),
}


@pytest.mark.parametrize(("words", "told"), NO_TOKENS.values(), ids=NO_TOKENS.keys())
def test_without_the_token_that_was_promised_nothing_is_asked(words, told):
    ended = doctor("http://127.0.0.1:1", *words)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert told in ended.stderr


def test_the_name_of_a_port_is_left_out_where_browsers_leave_it_out():
    urls = ("https://a.example:443/x/", "http://[::1]:80", "https://a.example:80", "a.example")
    assert [Site.parse(url).origin for url in urls] == [
        "https://a.example", "http://[::1]", "https://a.example:80", "http://a.example",
    ]  # fmt: skip
