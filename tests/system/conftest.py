"""The nouns of the system tests: a server per test file, and verbs that start others."""

import re
import shutil
import socket
import subprocess

import pytest

from tests.conftest import what_held
from tests.system.cutter import Cutter
from tests.system.feeds import READERS
from tests.system.server import CATALOGUE, ROOT, Database, Server, make_databases, need


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes a minute by its nature")
    config.addinivalue_line("markers", "holds_hub(why): a server of it may hold its hub")


@pytest.fixture(autouse=True)
def hub_is_free(request, hub_report):
    """No server holds its hub for 50 ms of CPU time; a test that needs it has a marker."""
    before = what_held(hub_report.read())
    yield
    told = what_held(hub_report.read())
    if request.node.get_closest_marker("holds_hub") is None:
        assert not before, f"after the test before this one: {before}"
        assert not told, told


@pytest.fixture(scope="session")
def fill(tmp_path_factory):
    """A verb: fill(folder) puts the databases there, as old as when they were made."""
    made = tmp_path_factory.mktemp("databases")
    make_databases(made)

    def fill(folder):
        for path in made.iterdir():
            shutil.copy2(path, folder)

    return fill


@pytest.fixture(scope="module")
def server(tmp_path_factory, fill):
    """One server for the tests of a file, each of which leaves it able to serve."""
    folder = tmp_path_factory.mktemp("server")
    fill(folder)
    server = Server(folder)
    yield server.start()
    server.clean_up()


@pytest.fixture(scope="module")
def serve_all(tmp_path_factory, fill):
    """A verb as `serve`, for a server that several tests of a file share."""
    made = []

    def serve_all(catalogue=CATALOGUE, **environ):
        folder = tmp_path_factory.mktemp("server")
        fill(folder)
        made.append(Server(folder, catalogue, **environ))
        return made[-1].start()

    yield serve_all
    for server in made:
        server.clean_up()


@pytest.fixture
def launch(tmp_path, fill):
    """A verb: launch(HEADWATER_X=...) returns a server that may not come up."""
    made = []

    def launch(*prefix, catalogue=CATALOGUE, **environ):
        folder = tmp_path / str(len(made))
        folder.mkdir(exist_ok=True)
        fill(folder)
        made.append(Server(folder, catalogue, **environ))
        made[-1].launch(*prefix)
        return made[-1]

    yield launch
    for server in made:
        server.clean_up()


@pytest.fixture
def serve(launch):
    """A verb: serve(HEADWATER_X=...) returns a server that answers."""

    def serve(*prefix, **more):
        return launch(*prefix, **more).wait_until_it_answers()

    return serve


@pytest.fixture
def changing(server):
    """The database of the source `changing`, back to its first state."""
    database = Database(server.folder / "changing.db")
    yield database
    database.write("update changing set name = 'first ' || i")


@pytest.fixture
def topic(request):
    """The name of a durable topic of the test's own."""
    return "demo/" + re.sub(r"[^A-Za-z0-9]+", "-", request.node.name)[:90]


@pytest.fixture(scope="session")
def javascript():
    """The JavaScript client is there: `npm ci` has put it there, once."""
    need("npm")
    if not (ROOT / "node_modules" / "socket.io-client").exists():
        subprocess.run(["npm", "ci", "--silent"], cwd=ROOT, check=True, timeout=300)


@pytest.fixture
def follow(request):
    """A verb: follow(server, transport, topics, since) returns a reader that is open."""
    open_readers = []

    def follow(server, transport, topics, since=None, **query):
        if transport == "node":
            request.getfixturevalue("javascript")
        open_readers.append(READERS[transport](server.base, topics, since, **query))
        return open_readers[-1]

    yield follow
    for reader in open_readers:
        reader.close()


@pytest.fixture
def put_cutter():
    """A verb: put_cutter(server) returns a Cutter before it."""
    made = []

    def put_cutter(server):
        made.append(Cutter(server.port))
        return made[-1]

    yield put_cutter
    for cutter in made:
        cutter.close()


@pytest.fixture
def free_port():
    """A port that nobody listens on, for a server that is to come back to it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])
