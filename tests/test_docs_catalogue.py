"""docs/catalogue.md: every key that the code takes, its default, and the examples as they are."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from sources.catalogue.catalogue import parse_catalogue
from sources.catalogue.check import check_catalogue
from sources.errors import CatalogueError

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# A key's name, and its default.
ROW = re.compile(r"^\| `(\w+)[^|]*\|[^|]*\| ([^|]*) \|[^|]*\|$", re.MULTILINE)

# Each table's heading, and the section that it is about, with the key that is its kind.
SECTIONS = {
    "### A table:": '[sources.a]\ntable = "t"\n',
    "### A query:": '[sources.a]\nquery = "select 1"\n',
    "### A parameter:": '[sources.a]\nquery = "select :p"\n[sources.a.parameters.p]\n',
    "### Generated rows:": '[sources.a]\ngenerate = "users"\n',
    "## Folders:": "[folders.a]\n",
    "## Logs:": "[logs.a]\n",
    "## Topics:": "[topics.a]\n",
}


def rows_under(heading: str) -> dict[str, str]:
    """Return the default of each key in the table under a heading."""
    text = PAGE.partition(f"\n{heading}")[2]
    return dict(ROW.findall(re.split(r"\n##", text)[0]))


def examples_in(page: Path, kind: str) -> list[str]:
    return re.findall(rf"(?s)```{kind}\n(.*?)```", page.read_text(encoding="utf-8"))


def problems_of(text: str) -> Sequence[str]:
    try:
        parse_catalogue(text, Path("/"))
    except CatalogueError as error:
        return error.problems
    return []


def keys_of(section: str) -> set[str]:
    """Return the keys that the code takes there: it names them to who writes another one."""
    told = "\n".join(problems_of(f"{section}zzzzzzzz = 1"))
    found = re.search(r"unknown key; there are (.*)", told)
    assert found, told
    return {key for key in found[1].split(", ") if fits(key, section)}


def fits(key: str, section: str) -> bool:
    if f"\n{key} = " in section:
        return True
    told = "\n".join(problems_of(f"{section}{key} = 1"))
    return "does not go with" not in told and "exactly one" not in told


@pytest.mark.parametrize(("heading", "section"), SECTIONS.items(), ids=SECTIONS.keys())
def test_every_key_has_its_row(heading, section):
    assert set(rows_under(heading)) == keys_of(section)


def test_the_kinds_of_sections_are_all_there():
    (told,) = problems_of("zzzzzzzz = 1\n[topics.a]")
    sections = told.partition("there are ")[2].split(", ")
    named = re.findall(r"`(\w+)`", PAGE.partition("kinds of sections:")[2].partition(".")[0])
    assert named == sections


DEFAULTS = {
    "folders": ("## Folders:", '[folders.a]\npath = "p"', ""),
    "logs": ("## Logs:", '[logs.a]\npath = "p"', ""),
    "topics": ("## Topics:", "[topics.a]", ""),
    "topics that are durable": ("## Topics:", "[topics.a]\ndurable = true", "durable: "),
}


@pytest.mark.parametrize(("heading", "text", "mark"), DEFAULTS.values(), ids=DEFAULTS.keys())
def test_the_defaults_are_those_of_the_code(heading, text, mark):
    entry = getattr(parse_catalogue(text, Path("/")), text[1:].partition(".")[0])["a"]
    for key, told in rows_under(heading).items():
        default = told.partition(mark)[2] if mark else told.partition(";")[0]
        if default and told != "required":
            assert default.strip("`") == str(getattr(entry, key)).lower(), key


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_can_be_read(page):
    wrong = examples_in(page, "toml")[1:] if page.name == "catalogue.md" else []
    for text in examples_in(page, "toml"):
        assert bool(problems_of(text)) == (text in wrong), problems_of(text)


def test_what_the_example_names_can_be_served(tmp_path):
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        database.execute("create table orders (id integer, region text, placed text, total real)")
    for folder in ("invoices", "logs"):
        (tmp_path / folder).mkdir()
    example = examples_in(ROOT / "docs" / "catalogue.md", "toml")[0]
    assert check_catalogue(parse_catalogue(example, tmp_path)) == []


def test_what_is_wrong_is_said_as_the_page_shows_it():
    wrong = examples_in(ROOT / "docs" / "catalogue.md", "toml")[1]
    (said,) = examples_in(ROOT / "docs" / "catalogue.md", "text")
    assert problems_of(wrong) == said.splitlines()
