"""The nouns of the system tests: a server per test file, and verbs that start others."""

import shutil

import pytest

from tests.system.server import CATALOGUE, Database, Server, make_databases


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

    def serve_all(**environ):
        folder = tmp_path_factory.mktemp("server")
        fill(folder)
        made.append(Server(folder, **environ))
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
