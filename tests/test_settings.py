from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from settings import PREFIX, Settings, SettingsError, settings_table

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"

GOOD = {
    "an IPv6 address": ("HOST", "::1", "::1"),
    "a host name": ("HOST", "db-1.example.org", "db-1.example.org"),
    "port 0 takes any free one": ("PORT", "0", 0),
    "the highest port": ("PORT", "65535", 65535),
    "a catalogue": ("CATALOGUE", "/etc/headwater.toml", Path("/etc/headwater.toml")),
    "an instance folder": ("INSTANCE", "state", Path("state")),
    "plain digits are bytes": ("RECORDINGS_MAX_BYTES", "1048576", 1048576),
    "the largest size a file has": ("RECORDINGS_MAX_BYTES", str(2**63 - 1), 2**63 - 1),
    "seconds without decimals": ("RESUME_WAIT_S", "30", 30.0),
    "seconds with decimals": ("ABANDON_GRACE_S", "0.5", 0.5),
    "a level in any case": ("LOG_LEVEL", "DEBUG", "debug"),
    "a log elsewhere": ("ACCESS_LOG", "/var/log/a.log", Path("/var/log/a.log")),
    "no log, in any case": ("ACCESS_LOG", "Off", "off"),
    "a form in any case": ("LOG_FORMAT", "JSON", "json"),
    "no time for a body": ("BODY_S", "0", 0.0),
    "a day without a byte": ("STALL_S", "86400", 86400.0),
    "open": ("OPEN", "1", 1),
    "an origin": ("ORIGINS", "https://a.example", ("https://a.example",)),
    "two": ("ORIGINS", "http://a:8080, https://b", ("http://a:8080", "https://b")),
    "no waiting line": ("EXPORTS_QUEUED", "0", 0),
}

BAD = {
    "a port past the last": ("PORT", "65536"),
    "a sign": ("PORT", "+80"),
    "an underscore": ("CONNECTIONS", "1_000"),
    "digits of another script": ("PORT", "٨٠"),
    "blanks": ("PORT", " 80"),
    "a line end": ("PORT", "80\n"),
    "a number too long to read": ("PORT", "9" * 5000),
    "a unit": ("RECORDINGS_MAX_BYTES", "10GiB"),
    "too small for one recording": ("RECORDINGS_MAX_BYTES", "1048575"),
    "larger than a file can be": ("RECORDINGS_MAX_BYTES", str(2**63)),
    "no connection at all": ("CONNECTIONS", "0"),
    "no export at all": ("EXPORTS_RUNNING", "0"),
    "not a number": ("ABANDON_GRACE_S", "nan"),
    "an infinity": ("ABANDON_GRACE_S", "inf"),
    "an exponent": ("ABANDON_GRACE_S", "1e3"),
    "longer than an hour": ("RESUME_WAIT_S", "3600.5"),
    "an unknown level": ("LOG_LEVEL", "loud"),
    "an unknown form": ("LOG_FORMAT", "xml"),
    "longer than a day": ("STALL_S", "86401"),
    "a word for open": ("OPEN", "yes"),
    "every origin": ("ORIGINS", "*"),
    "an origin with a path": ("ORIGINS", "https://a.example/"),
    "an origin in capitals": ("ORIGINS", "https://A.example"),
    "a host with a port": ("HOST", "localhost:8000"),
}


def problems_of(**environ: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ({PREFIX + name: text for name, text in environ.items()})
    return caught.value.problems


def test_nothing_set_gives_the_defaults():
    settings = Settings.from_environ({"PATH": "/bin", "headwater_port": "1"})
    assert settings == Settings()
    assert settings.host == "127.0.0.1"
    assert settings.port == 8000
    assert settings.catalogue is None
    assert settings.instance == Path("instance")
    assert settings.recordings_max_bytes == 10_737_418_240


ACCESS_LOGS = {
    "none is in the instance folder": (None, Path("here/logs/access.log")),
    "a path": (Path("a.log"), Path("a.log")),
    "off": ("off", None),
}


@pytest.mark.parametrize(("access_log", "path"), ACCESS_LOGS.values(), ids=ACCESS_LOGS.keys())
def test_where_the_access_log_is(access_log, path):
    assert Settings(instance=Path("here"), access_log=access_log).access_log_path == path


def test_settings_do_not_change():
    with pytest.raises(FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(("name", "text", "want"), GOOD.values(), ids=GOOD.keys())
def test_a_value_is_read(name, text, want):
    settings = Settings.from_environ({PREFIX + name: text})
    got = getattr(settings, name.lower())
    assert got == want
    assert type(got) is type(want)


def test_an_empty_value_counts_as_not_set():
    assert Settings.from_environ({"HEADWATER_PORT": "", "HEADWATER_CATALOGUE": ""}) == Settings()


@pytest.mark.parametrize(("name", "text"), BAD.values(), ids=BAD.keys())
def test_a_bad_value_is_refused_by_name(name, text):
    [problem] = problems_of(**{name: text})
    assert problem.startswith(f"{PREFIX}{name}: ")
    assert " is not " in problem
    assert len(problem) < 250


def test_every_problem_is_named_at_once():
    problems = problems_of(PORT="x", LOG_LEVEL="loud", NOSUCH="1", CONNECTIONS="5")
    assert problems == [
        "HEADWATER_LOG_LEVEL: 'loud' is not one of debug, info, warning, error",
        f"HEADWATER_NOSUCH: there is no such setting; {all_names()}",
        "HEADWATER_PORT: 'x' is not a whole number from 0 to 65535",
    ]


def all_names() -> str:
    return "there are " + ", ".join(PREFIX + f.name.upper() for f in fields(Settings))


def test_an_unknown_name_gets_the_nearest_known_one():
    [problem] = problems_of(CATALOG="x.toml")
    assert problem.endswith("did you mean HEADWATER_CATALOGUE?")


def test_the_name_in_the_environment_is_the_name_of_the_field():
    for f in fields(Settings):
        assert f.metadata["env"] == PREFIX + f.name.upper()


def test_every_field_has_a_help_line():
    for f in fields(Settings):
        assert f.metadata["help"].endswith(".")


def test_every_default_is_a_value_that_the_setting_takes():
    for f in fields(Settings):
        if f.default is not None:
            assert f.metadata["kind"].read(str(f.default)) == f.default


def test_the_page_of_the_docs_holds_the_table():
    assert PAGE.read_text(encoding="utf-8").endswith("\n\n" + settings_table())
