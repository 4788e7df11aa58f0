"""Pictures of every view for docs/screenshots, of a server with the sample: `make screenshots`."""

import json
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.system.server import ROOT, Server, wait_until

FOLDER = ROOT / "docs" / "screenshots"
SAMPLE = ROOT / "sources" / "sample.toml"
VIEWS = {
    "home": "/",
    "source": "/sources/flights?where=carrier&operator=eq&value=UA&sort=-dep_delay",
    "exports": "/exports",
    "live": "/events?topic=demo/orders",
    "files": "/files/media/",
    "logs": "/logs/access",
    "report": "/report/airlines",
}
SIZES = {"wide": (1200, 900), "narrow": (360, 740)}
# Charts and rows that come by themselves.
SETTLE_MS = 2500


def main():
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(ROOT / "instance" / "sample.db", folder)
        shutil.copytree(ROOT / "instance" / "media", folder / "media")
        (folder / "logs").mkdir()
        server = Server(
            folder, SAMPLE.read_text(), HEADWATER_ACCESS_LOG=f"{folder}/logs/access.log"
        )
        server.start()
        try:
            fill(server)
            take_all(server)
        finally:
            server.clean_up()


def fill(server):
    """Have something to show in every view."""
    server.finished("flights", "parquet")
    server.finished("weather", "csv.gz")
    server.finished("planes", "xlsx")
    for n in range(12):
        order = {"order": 7000 + n, "items": n % 4 + 1, "total": round(9.9 * (n % 7 + 1), 2)}
        server.publish("demo/orders", order, name="placed")
    wait_until(lambda: len(server.events("status")) > 15, "the charts have something", 30)


def take_all(server):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for view, path in VIEWS.items():
            for size, (width, height) in SIZES.items():
                for scheme in ("light", "dark"):
                    page = browser.new_page(
                        viewport={"width": width, "height": height}, color_scheme=scheme
                    )
                    page.goto(server.base + path)
                    page.wait_for_timeout(SETTLE_MS)
                    page.screenshot(path=FOLDER / f"{view}-{size}-{scheme}.png")
                    page.close()
        browser.close()
    print(json.dumps({"taken": len(list(FOLDER.glob("*.png")))}))


if __name__ == "__main__":
    main()
