"""What a server answers is what /openapi.json says: see fuzz.py, which asks more in `make soak`."""

import pytest

from tests.system.fuzz import JSON, check, fuzz  # noqa: F401 (a fixture)

CASES = 600
# Always the same ones.
SEED = 1


def test_every_answer_is_in_the_document(fuzz):  # noqa: F811
    fuzz.run(CASES, SEED)
    check(fuzz)
    well = {label for label, status in fuzz.answered if status < 400}
    assert len(well) >= 28, fuzz.told()


@pytest.mark.parametrize("path", ["/exports", "/events/demo/deep", "/links"])
def test_json_that_is_too_deep_is_refused(server, path):
    answer = server.get(path, "POST", b"[" * 30_000, Content_Type=JSON)
    assert (answer.status, answer.json()["status"]) == (400, 400)


BOTH = """
sources.both = { generate = "users", rows = 10 }
folders.both = { path = "both" }
"""


def test_the_page_of_a_source_is_not_of_the_folder_of_that_name(serve, tmp_path):
    (tmp_path / "0" / "both").mkdir(parents=True)
    server = serve(catalogue=BOTH)
    assert server.get("/sources/both?format=tar.zst", Accept="text/html").status == 404
