from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import psutil
import pytest

from app import create_app
from journal import Retention
from settings import Settings
from sources.catalogue.catalogue import load_catalogue
from sources.errors import CatalogueError
from streaming.policies import MAX_BODY_BYTES
from topics import Rule
from topics.rules import BUILT_IN

ROOT = Path(__file__).parent.parent


def test_it_starts_nothing(tmp_path, lay_site):
    settings = Settings(catalogue=lay_site(tmp_path), instance=tmp_path / "instance")
    threads, processes = threading.active_count(), len(psutil.Process().children())
    create_app(settings)
    assert threading.active_count() == threads
    assert len(psutil.Process().children()) == processes
    assert not (tmp_path / "instance").exists()


def test_two_apps_share_nothing(tmp_path, lay_site):
    settings = Settings(catalogue=lay_site(tmp_path), instance=tmp_path / "instance")
    one, other = (create_app(settings).extensions["headwater"].exports for _ in range(2))
    assert one is not other


def test_every_problem_of_the_catalogue_stops_the_start(tmp_path):
    catalogue = tmp_path / "headwater.toml"
    catalogue.write_text(
        '[sources.a]\ndatabase = "sqlite:///missing.db"\ntable = "t"\n'
        '[sources.b]\ndatabase = "sqlite:///gone.db"\ntable = "t"\n'
    )
    with pytest.raises(CatalogueError) as caught:
        create_app(Settings(catalogue=catalogue, instance=tmp_path))
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "sources.a.database", "sources.b.database",
    ]  # fmt: skip


@pytest.mark.parametrize("path", [".", "own", "link"])
def test_what_would_serve_the_state_stops_the_start(tmp_path, path):
    """Its keys would be read, and reading state.db as a file drops SQLite's locks."""
    (tmp_path / "link").symlink_to(tmp_path / "own")
    catalogue = tmp_path / "headwater.toml"
    catalogue.write_text(
        f'folders.all.path = "{path}"\nsources.a = {{ database = "sqlite:///own/state.db",'
        f' table = "tokens" }}\n'
    )
    (tmp_path / "own").mkdir()
    with pytest.raises(CatalogueError) as caught:
        create_app(Settings(catalogue=catalogue, instance=tmp_path / "own"))
    assert caught.value.problems == [
        "folders.all.path: it holds the instance folder, where the keys and the state are",
        "sources.a.database: it is the state of this server",
    ]


@pytest.mark.parametrize("name", ["state.db", "state.db-wal", "state.db-shm", "secret.key", "lock"])
def test_the_servers_own_files_are_served_under_no_path(tmp_path, name):
    """Neither under a path to be (a log need not be there yet) nor by a hard link."""
    own = tmp_path / "own"
    own.mkdir()
    catalogue = tmp_path / "headwater.toml"
    catalogue.write_text(
        f'logs.a.path = "own/{name}"\nlogs.b.path = "hard"\n'
        'sources.c = { database = "sqlite:///hard", table = "tokens" }\n'
    )
    (own / name).touch()
    (tmp_path / "hard").hardlink_to(own / name)
    problem = "it is a file of this server, in its instance folder"
    with pytest.raises(CatalogueError) as caught:
        create_app(Settings(catalogue=catalogue, instance=own))
    assert sorted(caught.value.problems) == [
        f"logs.a.path: {problem}",
        f"logs.b.path: {problem}",
        "sources.c.database: it is the state of this server",
    ]
    for path in (own / name, tmp_path / "hard"):
        path.unlink()
    catalogue.write_text(f'logs.a.path = "own/{name}"\n')
    with pytest.raises(CatalogueError, match=problem):
        create_app(Settings(catalogue=catalogue, instance=own))


def test_a_mount_of_the_instance_folder_is_not_served(tmp_path, mounted):
    own, logs = tmp_path / "above" / "own", tmp_path / "above" / "own" / "logs"
    logs.mkdir(parents=True)
    paths = {"a": own, "b": own.parent, "logs": logs}
    for name, path in paths.items():
        mounted(path, tmp_path / f"mount-{name}")
    catalogue = tmp_path / "headwater.toml"
    catalogue.write_text("".join(f'folders.{name}.path = "mount-{name}"\n' for name in paths))
    with pytest.raises(CatalogueError) as caught:
        create_app(Settings(catalogue=catalogue, instance=own))
    problem = "path: it holds the instance folder, where the keys and the state are"
    assert caught.value.problems == [f"folders.a.{problem}", f"folders.b.{problem}"]


@pytest.fixture
def mounted():
    """mounted(folder, at): folder is mounted there, too."""
    mounts = []

    def mount(folder, at):
        at.mkdir()
        command = ["mount", "--bind", folder, at]
        if os.getuid() or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting needs root")
        mounts.append(at)

    yield mount
    for at in mounts:
        subprocess.run(["umount", "--lazy", at], check=True)


def test_without_a_catalogue_the_sample_is_due(tmp_path):
    with pytest.raises(CatalogueError, match=r"sample\.db is not there"):
        create_app(Settings(instance=tmp_path))


def test_a_command_makes_the_instance_folder_private(tmp_path):
    with pytest.raises(CatalogueError):
        create_app(Settings(instance=tmp_path / "above" / "instance"))
    assert (tmp_path / "above" / "instance").stat().st_mode & 0o777 == 0o700


def test_the_sample_is_in_a_private_instance_folder(tmp_path):
    instance = tmp_path / "instance"
    command = ["sh", "setup/sample.sh", str(instance / "sample.db")]
    # Nothing is downloaded where there is no temporary folder.
    environ = {**os.environ, "TMPDIR": str(tmp_path / "none")}
    subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, check=False)
    assert instance.stat().st_mode & 0o777 == 0o700
    assert (instance / "logs").stat().st_mode & 0o777 == 0o700


def test_the_settings_reach_the_runner(tmp_path, lay_site):
    settings = Settings(
        catalogue=lay_site(tmp_path), instance=tmp_path / "here", exports_running=3,
        exports_queued=4, recordings_max_bytes=5 << 20, abandon_grace_s=6.0,
    )  # fmt: skip
    exports = create_app(settings).extensions["headwater"].exports
    assert exports._runner.schedule.places == 3
    assert (exports._max_queued, exports._abandon_grace_s) == (4, 6.0)
    assert exports._registry.retention.limits.max_bytes == 5 << 20
    assert exports._store.target("one").scratch == str(tmp_path / "here" / "recordings")


TOPICS = """
[topics.alerts]
durable = true
retain_events = 10
retain_s = 20
retain_bytes = 30

[topics."prices/*"]
latest = true
"""


@pytest.fixture
def topical(tmp_path, lay_site):
    """An app whose catalogue has topics, with its topics started."""
    catalogue = lay_site(tmp_path)
    with catalogue.open("a") as file:
        file.write(TOPICS)
    app = create_app(Settings(catalogue=catalogue, instance=tmp_path / "here"))
    topics = app.extensions["headwater"].topics
    topics.start()
    yield app
    topics.stop()


def test_the_catalogue_reaches_the_topics(topical):
    rules = {rule.pattern: rule for rule in topical.extensions["headwater"].topics.rules}
    assert rules["alerts"] == Rule("alerts", True, Retention(10, 20, 30))
    assert rules["prices/*"].latest
    assert not rules["prices/*"].durable
    assert {rule.pattern for rule in BUILT_IN} <= set(rules)


def test_events_are_in_the_instance_folder(topical, tmp_path):
    answer = topical.test_client().post("/events/alerts", json={"data": 1})
    assert answer.status_code == 507
    answer = topical.test_client().post("/events/prices/eur", json={"data": 1})
    assert (answer.status_code, list(answer.json)) == (201, ["id", "topic", "count"])
    assert (tmp_path / "here" / "topics" / "alerts").is_dir()
    assert not (tmp_path / "here" / "topics" / "prices,eur").exists()


def test_before_the_start_events_are_not_ready_and_all_else_is(client):
    answer = client.post("/events/demo/a", json={"data": 1})
    assert (answer.status_code, answer.json["error"]) == (503, "not_ready")
    assert client.get("/").status_code == 200


def test_what_follows_is_ended_when_the_server_drains(topical):
    topical.extensions["headwater"].drain()
    answer = topical.test_client().post("/events/prices/eur", json={"data": 1})
    assert (answer.status_code, answer.json["error"]) == (503, "not_ready")


def test_topics_are_started_before_who_publishes_and_every_part_can_be_stopped(topical):
    parts = topical.extensions["headwater"]
    assert parts[:2] == (parts.authenticator, parts.topics)
    for part in reversed(parts):
        part.stop()


def test_every_source_is_listed(client, site):
    listed = client.get("/sources").json["sources"]
    catalogue = load_catalogue(site.data.with_name("headwater.toml"))
    assert [each["name"] for each in listed] == list(catalogue.sources)
    (numbers,) = [each for each in listed if each["name"] == "numbers"]
    assert numbers["rows_estimate"] == 1000
    assert numbers["columns"][0] == {"name": "id", "type": "integer"}
    assert client.get("/sources/numbers").json == numbers
    assert client.head(numbers["urls"]["csv.zst"]).status_code == 200


def test_one_source_that_cannot_be_read_hides_no_other(own_site):
    client = own_site.test_client()
    own_site.data.unlink()
    listed = {each["name"]: each for each in client.get("/sources").json["sources"]}
    assert "error" in listed["numbers"]
    assert str(own_site.data) not in listed["numbers"]["error"]
    assert listed["users"]["rows_estimate"] == 100
    answer = client.get("/download/numbers.csv")
    assert (answer.status_code, answer.json["error"]) == (503, "source_unavailable")
    assert client.get("/").status_code == 200


def test_the_first_page_names_the_sources(client):
    page = client.get("/")
    assert page.status_code == 200
    assert "/download/numbers.csv" in page.text


@pytest.mark.parametrize("path", ["/download", "/download-async"])
def test_the_textbooks_downloads(client, path):
    answer = client.get(path)
    lines = [f"{i},User {i}\n" for i in range(1, 10_001)]
    assert answer.data == "".join(["id,name\n", *lines]).encode()
    assert answer.mimetype == "text/csv"
    assert 'attachment; filename="users.csv"' in answer.headers["Content-Disposition"]


def test_what_is_large_is_refused(client):
    answer = client.post("/exports", data={"source": "x" * MAX_BODY_BYTES})
    assert (answer.status_code, answer.json["status"]) == (413, 413)


@pytest.mark.parametrize(
    "path", ["/", "/download", "/sources", "/unheard", "/download/numbers.csv"]
)
def test_every_answer_is_what_it_says_it_is(client, path):
    assert client.get(path).headers["X-Content-Type-Options"] == "nosniff"


def test_an_unknown_address_has_the_one_shape(client):
    answer = client.get("/unheard")
    assert answer.status_code == 404
    assert set(answer.json) == {"error", "message", "status", "detail"}


def test_an_accept_that_is_too_long_counts_as_none(tmp_path, lay_site):
    settings = Settings(catalogue=lay_site(tmp_path), instance=tmp_path / "instance")
    client = create_app(settings).test_client()
    for path, kinds in (("/nothing", "text/html"), ("/exports", "text/html")):
        assert client.get(path, headers={"Accept": kinds}).mimetype == "text/html"
        longer = kinds + ",a/b;q=0.1" * 100
        assert client.get(path, headers={"Accept": longer}).mimetype == "application/json"
