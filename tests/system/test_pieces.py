"""Programs that read pieces of a download that nobody has made yet, as docs/http.md says."""

import re
import subprocess
import sys

import pytest

from tests.system.server import ROOT, ROWS

_CHAPTER = (
    (ROOT / "docs/http.md").read_text().partition("## Lengths, and readers that take pieces")[2]
)
RECIPES = re.findall(r"(?s)```python\n(.*?)```", _CHAPTER.partition("\n## ")[0])


@pytest.mark.parametrize("recipe", RECIPES, ids=["at the first try", "prepared"])
def test_the_recipes(serve, recipe):
    server = serve()
    for was, now in {
        "http://127.0.0.1:8000": server.base,
        "flights": "numbers",
        "carrier": "x",
    }.items():
        recipe = recipe.replace(was, now)
    # What is large is written in several row groups, which are asked for one by one.
    program = f"{recipe}\nassert columns.shape == ({ROWS}, 1)\n"
    if "read_csv" in recipe:
        program += f"assert rows.height == {ROWS}\n"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("extension", ["csv", "parquet"])
def test_a_head_and_pieces(server, extension):
    """What fsspec sends, and DuckDB: the length, the footer, and one piece after another."""
    path = f"/download/numbers.{extension}?limit=20000"
    head = server.get(path, "HEAD", Accept_Encoding="identity")
    size = int(head.headers["Content-Length"])
    assert (head.status, head.headers["Accept-Ranges"]) == (200, "bytes")
    spans = [(start, min(start + 99_999, size - 1)) for start in range(0, size, 100_000)]
    footer = server.get(path, Range=f"bytes={size - 8}-{size - 1}")
    pieces = [server.get(path, Range=f"bytes={first}-{last}") for first, last in spans]
    assert {each.status for each in (footer, *pieces)} == {206}
    assert {each.headers["ETag"] for each in (footer, *pieces)} == {head.headers["ETag"]}
    whole = b"".join(piece.body for piece in pieces)
    assert whole == server.get(path).body
    assert whole.endswith(footer.body)
