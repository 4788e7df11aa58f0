"""Settings: the environment variables of this server, checked all at once.

One frozen dataclass; each field has a default, its unit in its name, and a help line. Knows nothing
of the server. Way in: Settings.from_environ; only the entries call it. `python settings.py` prints
the table that docs/settings.md holds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from wire.entry import Entry, ValueKind, whole
from wire.nearest import hint

PREFIX = "HEADWATER_"

_DIGITS = re.compile(r"[0-9]{1,19}")
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
# Names and addresses; the server reports what a socket cannot bind when it tries.
# An IPv6 address has two colons at least; one would be a port.
_HOST = re.compile(r"[0-9A-Za-z._-]{1,253}|(?=.*:.*:)[0-9A-Fa-f:.]{2,45}")

_ORIGIN = re.compile(r"https?://[0-9a-z.\[\]:-]{1,253}")


class SettingsError(Exception):
    """The environment holds settings that cannot be used; `problems` names each of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class _Environ(Entry):
    """The settings in the environment, all of which are strings."""

    def wrong(self, value: object, kind: ValueKind) -> str:
        return f"{str(value)[:80]!r} is not {kind.right}"


def _whole(low: int, high: int) -> ValueKind:
    """Plain ASCII digits, low <= value <= high: no sign, no underscore, no unit."""
    right, read = whole(low, high)
    return ValueKind(right, lambda text: read(int(text)) if _DIGITS.fullmatch(text) else None)


def _seconds(high: int, low: float = 0) -> ValueKind:
    """Seconds with or without decimals, low <= value <= high."""

    def read(text: str) -> float | None:
        value = float(text) if _DECIMAL.fullmatch(text) else -1.0
        return value if low <= value <= high else None

    return ValueKind(f"seconds from {low:g} to {high}", read)


def _one_of(*words: str) -> ValueKind:
    """One of the words, in any case."""
    return ValueKind(
        "one of " + ", ".join(words),
        lambda text: text.lower() if text.lower() in words else None,
    )


def _origins(text: str) -> tuple[str, ...] | None:
    """Origins as browsers write them, with commas between."""
    found = tuple(each.strip() for each in text.split(","))
    return found if all(map(_ORIGIN.fullmatch, found)) else None


_ORIGINS = ValueKind("origins like `https://example.org`, with commas between", _origins)
_PATH = ValueKind("a path", Path)
OFF = "off"
_PATH_OR_OFF = ValueKind("a path, or off", lambda text: OFF if text.lower() == OFF else Path(text))
_ADDRESS = ValueKind(
    "an address or host name without a port",
    lambda text: text if _HOST.fullmatch(text) else None,
)


def _asks(env: str, kind: ValueKind, help_line: str) -> dict[str, object]:
    """Return the metadata of a field: its variable, its range of values, its help line."""
    return {"env": PREFIX + env, "kind": kind, "help": help_line}


@dataclass(frozen=True)
class Settings:
    """The values that the entries read from the environment and pass to everything else."""

    host: str = field(
        default="127.0.0.1",
        metadata=_asks("HOST", _ADDRESS, "The address to listen on."),
    )
    port: int = field(
        default=8000,
        metadata=_asks("PORT", _whole(0, 65535), "The port to listen on; 0 takes any free one."),
    )
    catalogue: Path | None = field(
        default=None,
        metadata=_asks(
            "CATALOGUE", _PATH, "The headwater.toml that names what is served; none: the sample."
        ),
    )
    instance: Path = field(
        default=Path("instance"),
        metadata=_asks(
            "INSTANCE", _PATH, "The folder for all state: recordings and the sample database."
        ),
    )
    connections: int = field(
        default=2000,
        metadata=_asks(
            "CONNECTIONS", _whole(1, 1_000_000), "How many clients may be connected at once."
        ),
    )
    body_s: float = field(
        default=30.0,
        metadata=_asks(
            "BODY_S", _seconds(3_600), "How long a client may take to send a request's body."
        ),
    )
    stall_s: float = field(
        default=120.0,
        metadata=_asks(
            "STALL_S",
            _seconds(86_400),
            "How long a client may take nothing of what it is sent; 0 leaves that to the kernel.",
        ),
    )
    connection_s: float = field(
        default=0.0,
        metadata=_asks(
            "CONNECTION_S",
            _seconds(604_800),
            "How long one feed, WebSocket or Socket.IO session may last; 0 for any time. It ends"
            " between two events, and the client continues from its cursor.",
        ),
    )
    # A scan of a large table, for the sample of a report.
    statement_s: float = field(
        default=5.0,
        metadata=_asks(
            "STATEMENT_S",
            _seconds(60, 0.1),
            "How long one statement of a database may take that a request waits for: a step of a"
            " report, a preview or a count, which have 2 s at most. Exports have no such bound.",
        ),
    )
    connections_per_principal: int = field(
        default=1000,
        metadata=_asks(
            "CONNECTIONS_PER_PRINCIPAL",
            _whole(1, 1_000_000),
            "How many of them one token's name may have, or one address without a token.",
        ),
    )
    # As many as one address may have in all, so that a thousand clients of it that connect at once
    # are all accepted, and half of the places are left for others.
    connections_pending: int = field(
        default=1000,
        metadata=_asks(
            "CONNECTIONS_PENDING",
            _whole(0, 1_000_000),
            "How many connections of one address may have no admitted request yet; 0 for any"
            " number. Behind proxies it does not apply.",
        ),
    )
    sessions_without_token: int = field(
        default=250,
        metadata=_asks(
            "SESSIONS_WITHOUT_TOKEN",
            _whole(1, 1_000_000),
            "How many Socket.IO sessions one address may have whose clients have shown no token"
            " yet, where tokens are needed.",
        ),
    )
    requests_per_minute: int = field(
        default=60_000,
        metadata=_asks(
            "REQUESTS_PER_MINUTE",
            _whole(0, 10**9),
            "How many requests and socket messages one may send; 0 for any number.",
        ),
    )
    bytes_per_s: int = field(
        default=0,
        metadata=_asks(
            "BYTES_PER_S",
            _whole(0, 10**12),
            "How fast one download is sent at most; 0 for as fast as it goes.",
        ),
    )
    open: int = field(
        default=0,
        metadata=_asks(
            "OPEN",
            _whole(0, 1),
            "1: serve other machines without tokens: everyone has full access.",
        ),
    )
    origins: tuple[str, ...] | None = field(
        default=None,
        metadata=_asks(
            "ORIGINS", _ORIGINS, "Other sites whose pages may send requests to this server."
        ),
    )
    proxies: int = field(
        default=0,
        metadata=_asks(
            "PROXIES",
            _whole(0, 10),
            "How many proxies are in front, each of which adds its client to `X-Forwarded-…`.",
        ),
    )
    exports_running: int = field(
        default=2,
        metadata=_asks(
            "EXPORTS_RUNNING",
            _whole(1, 64),
            "How many exports that take long record at once; the others wait or are paused.",
        ),
    )
    exports_open: int = field(
        default=13,
        metadata=_asks(
            "EXPORTS_OPEN",
            _whole(1, 256),
            "How many exports may be open: those that record, those that have just begun and may be"
            " short, and those that are paused. With as many as record at once, none overtakes.",
        ),
    )
    exports_queued: int = field(
        default=100,
        metadata=_asks(
            "EXPORTS_QUEUED",
            _whole(0, 100_000),
            "How many exports may wait for their turn; one more is refused.",
        ),
    )
    exports_queued_per_principal: int = field(
        default=20,
        metadata=_asks(
            "EXPORTS_QUEUED_PER_PRINCIPAL",
            _whole(0, 100_000),
            "How many of them may wait for one token's name, or for one address without a token.",
        ),
    )
    exports_remembered: int = field(
        default=5000,
        metadata=_asks(
            "EXPORTS_REMEMBERED",
            _whole(1, 1_000_000),
            "How many exports are remembered in all, with their bytes or without; the longest"
            " unread are forgotten first.",
        ),
    )
    exports_remembered_per_principal: int = field(
        default=1000,
        metadata=_asks(
            "EXPORTS_REMEMBERED_PER_PRINCIPAL",
            _whole(1, 1_000_000),
            "How many of them one token's name may have, or one address without a token.",
        ),
    )
    recordings_max_bytes: int = field(
        default=10 * 1024**3,
        metadata=_asks(
            "RECORDINGS_MAX_BYTES",
            # Under a MiB not even a small table fits; no file system counts past 2^63 - 1.
            _whole(1024**2, 2**63 - 1),
            "How much the recordings may fill; the oldest unread one goes first.",
        ),
    )
    topics_per_principal: int = field(
        default=250,
        metadata=_asks(
            "TOPICS_PER_PRINCIPAL",
            # There are a thousand in all; see topics.topics.MAX_TOPICS.
            _whole(0, 1000),
            "How many topics of one pattern one token's name, or one address without, may make.",
        ),
    )
    topics_memory_max_bytes: int = field(
        default=512 * 1024**2,
        metadata=_asks(
            "TOPICS_MEMORY_MAX_BYTES",
            _whole(1024**2, 2**63 - 1),
            "How much all topics may keep in memory; beyond it topics of patterns do not grow.",
        ),
    )
    topics_disk_max_bytes: int = field(
        default=10 * 1024**3,
        metadata=_asks(
            "TOPICS_DISK_MAX_BYTES",
            _whole(1024**2, 2**63 - 1),
            "How much all topics may keep on the disk; beyond it topics of patterns do not grow.",
        ),
    )
    abandon_grace_s: float = field(
        default=60.0,
        metadata=_asks(
            "ABANDON_GRACE_S",
            _seconds(86_400),
            "How long an export continues without a reader, unless it is in the background.",
        ),
    )
    resume_wait_s: float = field(
        default=50.0,
        metadata=_asks(
            "RESUME_WAIT_S",
            _seconds(3_600),
            "How long a resumed download waits for bytes that are not recorded yet.",
        ),
    )
    log_level: str = field(
        default="info",
        metadata=_asks(
            "LOG_LEVEL", _one_of("debug", "info", "warning", "error"), "The least that is logged."
        ),
    )

    log_format: str = field(
        default="auto",
        metadata=_asks(
            "LOG_FORMAT",
            _one_of("auto", "text", "json"),
            "How a line of the log is written; `auto` is text on a terminal, JSON elsewhere.",
        ),
    )

    access_log: Path | str | None = field(
        default=None,
        metadata=_asks(
            "ACCESS_LOG",
            _PATH_OR_OFF,
            "The server's own log of requests; none: `logs/access.log` in the instance folder,"
            " the only place where the sample's log `access` looks.",
        ),
    )

    @property
    def access_log_path(self) -> Path | None:
        """The path of the access log, None for no log."""
        if self.access_log == OFF:
            return None
        return Path(self.access_log or self.instance / "logs" / "access.log")

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Return the settings of the HEADWATER_* names in environ.

        environ: os.environ or the like; other names are ignored. An empty value counts as not set.
        Raises SettingsError with every bad value and every unknown name.
        """
        known = {f.metadata["env"]: f for f in fields(cls)}
        given = _Environ("", {env: environ[env] for env in environ if env.startswith(PREFIX)}, [])
        values: dict[str, Any] = {}
        for env, text in given.values.items():
            if env not in known:
                # Without the prefix, which makes all names similar.
                bare = [name.removeprefix(PREFIX) for name in known]
                all_of_them = "there are " + ", ".join(known)
                right = hint(
                    env.removeprefix(PREFIX), bare, all_of_them, ask=f"did you mean {PREFIX}"
                )
                given.refuse(env, f"there is no such setting; {right}")
            elif text:
                values[known[env].name] = given.take(env, known[env].metadata["kind"])
        if given.problems:
            raise SettingsError(sorted(given.problems))
        return cls(**values)


def settings_table() -> str:
    """Return the settings as a markdown table that ends with a line end; in docs/settings.md."""
    rows = ["| name | default | takes | what it is |", "| --- | --- | --- | --- |"]
    for f in fields(Settings):
        asks = f.metadata
        default = "" if f.default is None else f"`{f.default}`"
        rows.append(f"| `{asks['env']}` | {default} | {asks['kind'].right} | {asks['help']} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(settings_table(), end="")
