"""A browser plays a film from a folder, and seeks in it."""

import shutil

import pytest

from tests.system.server import CATALOGUE, ROOT

FILM = ROOT / "instance" / "media" / "bigbuckbunny.mp4"

SEEK = """async (share) => {
  const video = document.querySelector("video");
  const once = (name) => new Promise((done) => video.addEventListener(name, done, { once: true }));
  video.muted = true;
  if (video.readyState < 2) await once("loadeddata");
  video.currentTime = video.duration * share;
  await once("seeked");
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [32, 18];
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0, 32, 18);
  const at = video.currentTime;
  await video.play();
  await once("timeupdate");
  const pixels = Array.from(context.getImageData(0, 0, 32, 18).data);
  return { duration: video.duration, at, played: video.currentTime, pixels };
}"""


@pytest.fixture(scope="module")
def film(serve_all, tmp_path_factory):
    """The address of the film; its index stands after its data."""
    folder = tmp_path_factory.mktemp("media")
    shutil.copy(FILM, folder)
    content = FILM.read_bytes()
    assert content.index(b"moov") > content.index(b"mdat")
    server = serve_all(catalogue=f"{CATALOGUE}\n[folders.media]\npath = '{folder}'\n")
    return f"http://127.0.0.1:{server.port}/files/media/{FILM.name}"


def test_it_is_played_and_seeked_in(open_page, film):
    page = open_page("about:blank")
    ranges = []
    page.on("request", lambda request: ranges.append(request.headers.get("range")))
    page.goto(film)
    seen = {share: page.evaluate(SEEK, share) for share in (0.8, 0.1)}
    for share, told in seen.items():
        assert told["duration"] == pytest.approx(5.3, abs=0.1)
        assert told["at"] == pytest.approx(told["duration"] * share, abs=0.1)
        assert told["played"] > told["at"]
    assert seen[0.8]["pixels"] != seen[0.1]["pixels"]
    assert any(ranges)


def test_it_is_played_in_its_place_in_the_listing(open_page, film):
    page = open_page(film.rpartition("/")[0] + "/")
    page.click("summary")
    told = page.evaluate(SEEK_IN_PLACE)
    assert told["at"] > 3


SEEK_IN_PLACE = """async () => {
  const video = document.querySelector("details[open] video");
  video.muted = true;
  video.preload = "auto";
  const once = (name) => new Promise((done) => video.addEventListener(name, done, { once: true }));
  if (video.readyState < 2) await once("loadeddata");
  video.currentTime = 4;
  await once("seeked");
  await video.play();
  return { at: video.currentTime };
}"""
