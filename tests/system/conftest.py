"""The nouns of the system tests: a server per test file, and verbs that start others."""

import pytest

from tests.system.server import CATALOGUE, Database, Server, fill


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for the tests of a file, each of which leaves it able to serve."""
    folder = tmp_path_factory.mktemp("server")
    fill(folder)
    server = Server(folder)
    yield server.start()
    server.clean_up()


@pytest.fixture
def serve(tmp_path):
    """A verb: serve(HEADWATER_X=...) returns a started server that ends with the test."""
    made = []

    def serve(*prefix, catalogue=CATALOGUE, **environ):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        fill(folder)
        made.append(Server(folder, catalogue, **environ))
        return made[-1].start(*prefix)

    yield serve
    for server in made:
        server.clean_up()


@pytest.fixture
def changing(server):
    """The database of the source `changing`, back to its first state."""
    database = Database(server.folder / "changing.db")
    yield database
    database.write("update changing set name = 'first ' || i")
