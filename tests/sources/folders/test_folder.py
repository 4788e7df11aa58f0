"""A folder that is served: what is below it, nothing outside of it, and when a file has changed."""

from __future__ import annotations

import ctypes
import mmap
import os
import shutil
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sources.errors import (
    FileChanged,
    FolderError,
    FolderGone,
    IsAFile,
    IsAFolder,
    MalformedPath,
    NoSuchFile,
    Unreadable,
)
from sources.folders.folder import MAX_LINKS, Folder, OpenFile, Version
from sources.grain import TICK_S

SECRET = b"nobody may read this"


@pytest.fixture
def root(tmp_path):
    """What is served; beside it are a file and a folder that are not."""
    root = tmp_path / "served"
    root.joinpath("sub", "deeper").mkdir(parents=True)
    root.joinpath("plain.txt").write_bytes(b"plain")
    root.joinpath("sub", "inner.txt").write_bytes(b"inner")
    root.joinpath(".hidden").write_bytes(b"hidden")
    root.joinpath(".git").mkdir()
    root.joinpath(".git", "config").write_bytes(b"config")
    tmp_path.joinpath("secret.txt").write_bytes(SECRET)
    tmp_path.joinpath("beside").mkdir()
    tmp_path.joinpath("beside", "secret.txt").write_bytes(SECRET)
    return root


@pytest.fixture
def folder(root):
    return Folder("served", root)


def content_of(folder: Folder, path: str) -> bytes:
    with closing(folder.open(path)) as file:
        return file.read(100, 0)


def names_in(folder: Folder, path: str = "") -> list[str]:
    return sorted(entry.name for entry in folder.entries(path))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# Links.

# Where a link `link` in the folder leads, and what is there.
LEADING_IN = {
    "to a file": ("plain.txt", b"plain"),
    "to a file below": ("sub/inner.txt", b"inner"),
    "down and up": ("sub/../plain.txt", b"plain"),
    "down, up and down": ("sub/deeper/../../sub/inner.txt", b"inner"),
    "with dots and slashes to spare": (".//./sub///./inner.txt", b"inner"),
    "absolute": ("{root}/sub/inner.txt", b"inner"),
    "absolute, down and up": ("{root}/sub/../plain.txt", b"plain"),
    "absolute, with slashes to spare": ("{root}//sub/./inner.txt", b"inner"),
}


@pytest.mark.parametrize(("target", "want"), LEADING_IN.values(), ids=LEADING_IN.keys())
def test_a_link_inside_is_what_it_leads_to(folder, root, target, want):
    root.joinpath("link").symlink_to(target.format(root=root))
    assert content_of(folder, "link") == want
    [entry] = [entry for entry in folder.entries() if entry.name == "link"]
    assert (entry.is_link, entry.is_folder, entry.size) == (True, False, len(want))


def test_an_absolute_link_is_followed_from_wherever_it_is(folder, root):
    root.joinpath("sub", "deeper", "link").symlink_to(root / "sub" / "inner.txt")
    root.joinpath("sub", "deeper", "up").symlink_to(f"{root}/sub/../../secret.txt")
    assert content_of(folder, "sub/deeper/link") == b"inner"
    with pytest.raises(NoSuchFile):
        folder.open("sub/deeper/up")


def test_up_from_a_folder_that_a_link_led_to_is_up_from_where_that_is(folder, root):
    """As path_resolution(7): not back to where the link is."""
    root.joinpath("sub", "inner.txt").rename(root / "sub" / "plain.txt")
    root.joinpath("link").symlink_to("sub/deeper")
    root.joinpath("up").symlink_to("link/../plain.txt")
    assert content_of(folder, "up") == b"inner"


def test_a_link_to_a_folder_is_walked_through(folder, root):
    root.joinpath("link").symlink_to("sub")
    root.joinpath("sub", "deeper", "up").symlink_to("../inner.txt")
    assert content_of(folder, "link/inner.txt") == b"inner"
    assert content_of(folder, "link/deeper/up") == b"inner"
    assert names_in(folder, "link") == ["deeper", "inner.txt"]


LEADING_NOWHERE = {
    "up and out": "../secret.txt",
    "down, up and out": "sub/../../secret.txt",
    "up, out and in again": "../served/plain.txt",
    "absolute": "{root}/../secret.txt",
    "absolute, out and in again": "{root}/../served/plain.txt",
    "absolute, of another folder": "/etc/passwd",
    "absolute, of one whose name begins alike": "{root}-other/secret.txt",
    "to the root": "/",
    "to the folder above": "..",
    "to the folder beside": "../beside/secret.txt",
    "far above": "../" * 100 + "etc/passwd",
    "to itself": "link",
    "to itself, down and up": "sub/../link",
    "into itself": "link/plain.txt",
    "to nothing": "nothing",
    "to what is hidden": ".hidden",
    "through what is hidden": ".git/config",
    "through a file": "plain.txt/../sub/inner.txt",
    "to a process's root": "/proc/self/root/etc/passwd",
    "to a descriptor": "/proc/self/fd/0",
}


@pytest.mark.parametrize("target", LEADING_NOWHERE.values(), ids=LEADING_NOWHERE.keys())
def test_a_link_out_or_to_nothing_is_not_there(folder, root, target):
    root.with_name("served-other").mkdir()
    root.with_name("served-other").joinpath("secret.txt").write_bytes(SECRET)
    root.joinpath("link").symlink_to(target.format(root=root))
    for path in ("link", "link/plain.txt", "link/secret.txt", "link/etc/passwd"):
        with pytest.raises(NoSuchFile):
            folder.open(path)
    with pytest.raises(NoSuchFile):
        folder.entries("link")
    assert "link" not in names_in(folder)
    assert ("link", None) in list(folder.look())


def test_a_circle_of_two_is_not_there(folder, root):
    root.joinpath("one").symlink_to("two")
    root.joinpath("two").symlink_to("one")
    with pytest.raises(NoSuchFile):
        folder.open("one")
    assert names_in(folder) == ["plain.txt", "sub"]


@pytest.mark.parametrize(("links", "is_there"), [(MAX_LINKS, True), (MAX_LINKS + 1, False)])
def test_so_many_links_are_followed_as_by_the_kernel(folder, root, links, is_there):
    root.joinpath("0").symlink_to("plain.txt")
    for i in range(1, links):
        root.joinpath(str(i)).symlink_to(str(i - 1))
    last = str(links - 1)
    assert root.joinpath(last).exists() == is_there
    assert (last in names_in(folder)) == is_there
    if is_there:
        assert content_of(folder, last) == b"plain"
    else:
        with pytest.raises(NoSuchFile):
            folder.open(last)


def test_links_are_counted_along_the_whole_path(folder, root):
    root.joinpath("here").symlink_to(".")
    assert content_of(folder, "here/" * MAX_LINKS + "plain.txt") == b"plain"
    with pytest.raises(NoSuchFile):
        folder.open("here/" * (MAX_LINKS + 1) + "plain.txt")


# Names.

MALFORMED = {
    "..": "..",
    ".. in front": "../secret.txt",
    ".. in between": "sub/../plain.txt",
    ".. at the end": "sub/..",
    ".": ".",
    ". in between": "sub/./inner.txt",
    "a name of nothing": "sub//inner.txt",
    "absolute": "/etc/passwd",
    "a slash at the end": "plain.txt/",
    "a slash alone": "/",
    "NUL": "plain.txt\0",
    "NUL in between": "sub\0/inner.txt",
    "half a character": "\ud800",
    "bytes that are not UTF-8": os.fsdecode(b"\xff"),
}


@pytest.mark.parametrize("path", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_path_is_refused(folder, path):
    with pytest.raises(MalformedPath):
        folder.open(path)
    with pytest.raises(MalformedPath):
        folder.entries(path)


def test_a_path_of_nothing_is_no_file_and_lists_all(folder):
    with pytest.raises(MalformedPath):
        folder.open("")
    assert names_in(folder, "") == ["plain.txt", "sub"]


ABSENT = {
    "nothing": "nothing",
    "nothing below": "sub/nothing",
    "below nothing": "nothing/inner.txt",
    "in a file": "plain.txt/x",
    "300 bytes": "x" * 300,
    "a folder of 300 bytes": "x" * 300 + "/y",
    "10,000 bytes": "x/" * 5000 + "x",
    "three dots": "...",
    "a dot more": "plain.txt.",
    "a blank more": "plain.txt ",
    "backslashes": "sub\\inner.txt",
    "out by backslashes": "..\\secret.txt",
    "another case": "PLAIN.TXT",
}


@pytest.mark.parametrize("path", ABSENT.values(), ids=ABSENT.keys())
def test_what_is_not_there_is_not_there(folder, path):
    with pytest.raises(NoSuchFile):
        folder.open(path)
    with pytest.raises(NoSuchFile):
        folder.entries(path)


def test_a_folder_is_no_file_and_a_file_no_folder(folder):
    with pytest.raises(IsAFolder):
        folder.open("sub")
    with pytest.raises(IsAFile):
        folder.entries("plain.txt")


NAMES = ["Ünïcødé 日本 🌊", "e\u0301", "two\nlines", "back\\slash", " ", "%2e", "x" * 255, "..a"]


@pytest.mark.parametrize("name", NAMES)
def test_any_other_name_is_one(root, name):
    folder = Folder("served", root, hidden=True)
    root.joinpath(name).mkdir()
    root.joinpath(name, name).write_bytes(b"named")
    assert content_of(folder, f"{name}/{name}") == b"named"
    assert names_in(folder, name) == [name]


def test_a_name_that_is_not_utf8_is_left_out(folder, root):
    name = os.fsdecode(b"caf\xe9")
    root.joinpath(name).write_bytes(SECRET)
    root.joinpath("\udcff").symlink_to("plain.txt")
    assert names_in(folder) == ["plain.txt", "sub"]
    assert {each for each, entry in folder.look() if entry is None} == {"\udcff", name}


def test_a_deep_path_is_walked(folder, root):
    """Longer than the kernel takes at once, which is 4,096 bytes."""
    names, above = ["x" * 200] * 60, os.open(root, os.O_RDONLY)
    for name in names:
        os.mkdir(name, dir_fd=above)
        below = os.open(name, os.O_RDONLY, dir_fd=above)
        os.close(above)
        above = below
    with open(os.open("deep", os.O_WRONLY | os.O_CREAT, dir_fd=above), "wb") as file:
        file.write(b"deep")
    os.close(above)
    path = "/".join(names)
    assert names_in(folder, path) == ["deep"]
    assert content_of(folder, f"{path}/deep") == b"deep"


# What is hidden.


@pytest.mark.parametrize("path", [".hidden", ".git/config", "sub/.x/y"])
def test_what_is_hidden_is_served_if_that_is_said(root, path):
    root.joinpath("sub", ".x").mkdir()
    root.joinpath("sub", ".x", "y").write_bytes(b"y")
    with pytest.raises(NoSuchFile):
        content_of(Folder("served", root), path)
    assert content_of(Folder("served", root, hidden=True), path)


def test_a_listing_names_what_is_hidden_only_if_that_is_said(root):
    root.joinpath("link").symlink_to(".hidden")
    assert names_in(Folder("served", root)) == ["plain.txt", "sub"]
    every = names_in(Folder("served", root, hidden=True))
    assert every == [".git", ".hidden", "link", "plain.txt", "sub"]
    with pytest.raises(NoSuchFile):
        Folder("served", root).entries(".git")
    assert names_in(Folder("served", root, hidden=True), ".git") == ["config"]


def test_a_hidden_link_is_hidden_wherever_it_leads(root):
    root.joinpath(".link").symlink_to("plain.txt")
    with pytest.raises(NoSuchFile):
        Folder("served", root).open(".link")
    assert content_of(Folder("served", root, hidden=True), ".link") == b"plain"


def test_a_folder_below_a_hidden_one_is_served(tmp_path):
    """The operator has named it."""
    tmp_path.joinpath(".site", "sub").mkdir(parents=True)
    tmp_path.joinpath(".site", "sub", "a").write_bytes(b"a")
    folder = Folder("site", tmp_path / ".site" / "sub")
    assert (names_in(folder), content_of(folder, "a")) == (["a"], b"a")


# What is no file.


@contextmanager
def listening(path: Path) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(path))
        listener.listen()
        yield


@pytest.mark.parametrize("link", [False, True], ids=["itself", "by a link"])
def test_a_pipe_is_not_there_and_nobody_waits_for_it(folder, root, link):
    os.mkfifo(root / "pipe")
    root.joinpath("link").symlink_to("pipe")
    with pytest.raises(NoSuchFile):
        folder.open("link" if link else "pipe")
    assert names_in(folder) == ["plain.txt", "sub"]


def test_a_socket_is_not_there(folder, root, monkeypatch):
    # The name of a socket has at most 108 bytes.
    monkeypatch.chdir(root)
    with listening(root / "socket"), pytest.raises(NoSuchFile):
        folder.open("socket")
    assert names_in(folder) == ["plain.txt", "sub"]


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK], ids=["character", "block"])
def test_a_device_is_not_there(folder, root, kind):
    try:
        os.mknod(root / "device", kind | 0o666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root makes devices")
    with pytest.raises(NoSuchFile):
        folder.open("device")
    assert names_in(folder) == ["plain.txt", "sub"]


# What may not be read.


@pytest.fixture
def nobody():
    """A folder where everybody may look, and from now on the rights of nobody, who is not root."""
    folder = Path(tempfile.mkdtemp(prefix="headwater-"))
    folder.chmod(0o755)
    is_root = os.geteuid() == 0
    yield folder, lambda: os.seteuid(65534) if is_root else None
    if is_root:
        os.seteuid(0)
    for path in folder.rglob("*"):
        path.chmod(0o755)
    shutil.rmtree(folder)


def test_what_may_not_be_read_is_named_so(nobody):
    root, become_nobody = nobody
    root.joinpath("file").write_bytes(SECRET)
    root.joinpath("closed").mkdir()
    root.joinpath("closed", "file").write_bytes(SECRET)
    root.joinpath("link").symlink_to("closed/file")
    root.joinpath("file").chmod(0)
    root.joinpath("closed").chmod(0)
    become_nobody()
    folder = Folder("served", root)
    for path in ("file", "closed/file", "link"):
        with pytest.raises(Unreadable):
            folder.open(path)
    with pytest.raises(Unreadable):
        folder.entries("closed")
    # It is not told what is behind the link.
    assert dict(folder.look())["link"] is None
    assert names_in(folder) == ["closed", "file"]


def test_a_folder_that_is_gone_is_named(folder, root):
    shutil.rmtree(root)
    for ask in (partial(folder.open, "plain.txt"), folder.entries):
        with pytest.raises(FolderGone, match=f"^the folder {folder.name} is not there now$"):
            ask()


# Whatever is there, and however it is asked for: the kernel's own answer, or none.

SOME_NAMES = st.sampled_from(["a", "b", "c", ".d", "..", ".", "", "secret.txt", "served"])
SOME_PATHS = st.lists(SOME_NAMES, min_size=1, max_size=6).map("/".join)
LINKS = st.dictionaries(st.sampled_from(["a", "b", "c", "a/a", "a/b", "b/a", ".d"]), SOME_PATHS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(links=LINKS, path=SOME_PATHS)
def test_what_is_opened_is_what_the_kernel_finds_there_and_inside(tmp_path, links, path):
    with tempfile.TemporaryDirectory(dir=tmp_path) as above:
        root = Path(above, "served")
        for name in ("a", "b"):
            root.joinpath(name).mkdir(parents=True)
            root.joinpath(name, "c").write_text(f"content of {name}/c")
        Path(above, "secret.txt").write_bytes(SECRET)
        for name, target in links.items():
            with suppress(OSError):
                root.joinpath(name).symlink_to(target or ".")
        try:
            with closing(Folder("served", root).open(path)) as file:
                found, status = file.read(100, 0), os.fstat(file.descriptor)
        except FolderError:
            return
        assert found != SECRET
        assert os.path.samestat(status, root.joinpath(path).stat())
        assert root.joinpath(path).resolve().is_relative_to(root.resolve())


# A link that is put in the way while we look.

EXCHANGE = 2
LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
IN_OPEN, IN_ACCESS = 0x20, 0x1


def exchange(one: Path, other: Path) -> None:
    """Let two names change places at once; renameat2(2)."""
    names = (os.fsencode(one), os.fsencode(other))
    if LIBC.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], EXCHANGE):
        raise OSError(ctypes.get_errno(), "renameat2")


@contextmanager
def watching(*paths: Path) -> Iterator[int]:
    """Yield a descriptor that tells of each open and read of paths and of what is in them."""
    descriptor = LIBC.inotify_init1(os.O_NONBLOCK)
    try:
        for path in paths:
            assert LIBC.inotify_add_watch(descriptor, os.fsencode(path), IN_OPEN | IN_ACCESS) >= 0
        yield descriptor
    finally:
        os.close(descriptor)


def told_by(events: int) -> bytes:
    """Return what the kernel has told, b"" if nothing."""
    try:
        return os.read(events, 1 << 16)
    except BlockingIOError:
        return b""


@contextmanager
def exchanging(one: Path, other: Path) -> Iterator[None]:
    """Let two names change places all the time."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            exchange(one, other)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_the_watch_sees_what_is_opened(root):
    with watching(root.with_name("beside")) as events:
        assert told_by(events) == b""
        root.with_name("beside").joinpath("secret.txt").read_bytes()
        assert b"secret.txt" in told_by(events)


RACED = {
    "a folder and a link": ("sub", "beside", "sub/secret.txt"),
    "a file and a link": ("plain.txt", "beside/secret.txt", "plain.txt"),
}


@pytest.fixture(params=RACED.values(), ids=RACED.keys())
def raced(root, request):
    """(path, events): what is at path changes places with a link out; events of what is outside."""
    inside, outside, path = request.param
    root.joinpath("sub", "secret.txt").write_bytes(b"ours")
    root.joinpath("other").symlink_to(root.parent / outside)
    with (
        watching(root.with_name("beside")) as events,
        exchanging(root / inside, root / "other"),
    ):
        yield path, events


def answers(folder: Folder, path: str) -> Iterator[bytes | Exception]:
    """Yield what is answered, until each of both was often enough."""
    counts = [0, 0]
    ends_s = time.monotonic() + 20
    while min(counts) < 2000:
        assert time.monotonic() < ends_s
        try:
            yield content_of(folder, path)
            counts[0] += 1
        except (FolderError, OSError) as error:
            yield error
            counts[1] += 1
        folder.entries()


def test_a_link_out_that_is_put_in_the_way_is_never_followed(folder, raced):
    path, events = raced
    for answer in answers(folder, path):
        assert isinstance(answer, Exception) or answer in (b"ours", b"plain")
    assert told_by(events) == b""


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(path))


# Before which call "plain.txt" or "sub" becomes something else, and what.
SWAPS = {
    "a file, a link out": ("open", "plain.txt", lambda path: path.symlink_to("../secret.txt")),
    "a file, a link in": ("open", "plain.txt", lambda path: path.symlink_to("sub/inner.txt")),
    "a file, a folder": ("open", "plain.txt", Path.mkdir),
    "a file, a pipe": ("open", "plain.txt", os.mkfifo),
    "a file, nothing": ("open", "plain.txt", lambda path: None),
    "a file, a socket": ("open", "plain.txt", make_socket),
    "a folder, a link out": ("open", "sub", lambda path: path.symlink_to("../beside")),
    "a folder, a file": ("open", "sub", Path.touch),
    "a folder, a pipe": ("open", "sub", os.mkfifo),
    "a link, a file": ("readlink", "link", Path.touch),
    "a link, a folder": ("readlink", "link", Path.mkdir),
    "a link, nothing": ("readlink", "link", lambda path: None),
    "a link, a link out": ("readlink", "link", lambda path: path.symlink_to("../beside")),
}


@pytest.mark.parametrize(("call", "name", "become"), SWAPS.values(), ids=SWAPS.keys())
def test_what_is_put_in_the_way_is_not_there(folder, root, monkeypatch, call, name, become):
    """Between the look at a name and what is done with it."""
    monkeypatch.chdir(root)
    root.joinpath("link").symlink_to("sub")
    ours = getattr(os, call)

    def swap_first(path, *flags, **where):
        if path == name and root.joinpath(name).exists():
            root.joinpath(name).rename(root.with_name("moved away"))
            become(root / name)
        return ours(path, *flags, **where)

    monkeypatch.setattr(os, call, swap_first)
    before = descriptors()
    path = name if name == "plain.txt" else f"{name}/secret.txt"
    with pytest.raises(NoSuchFile):
        folder.open(path)
    assert os.path.lexists(root.with_name("moved away"))
    assert descriptors() == before


# Descriptors.


ASKED = [
    "plain.txt", "sub/inner.txt", "in", "up", "sub", ".hidden", "no", "sub/no", "out", "circle",
    "pipe", "plain.txt/x", "..", "folder-out/x", "absolute",
]  # fmt: skip


def ask(folder: Folder) -> None:
    """Ask for everything that is there and that is not, once."""
    for path in ASKED:
        with suppress(FolderError):
            folder.open(path).close()
        with suppress(FolderError):
            folder.entries(path)
    folder.entries()
    looking = folder.look()
    next(looking)
    looking.close()
    with closing(folder.open("plain.txt")) as file, closing(file.duplicate()) as twin:
        twin.read(1, 0)


def test_nothing_stays_open(folder, root):
    for name, target in {
        "in": "plain.txt",
        "up": "sub/../plain.txt",
        "out": "../secret.txt",
        "folder-out": "..",
        "circle": "circle",
        "absolute": f"{root}/sub/inner.txt",
    }.items():
        root.joinpath(name).symlink_to(target)
    os.mkfifo(root / "pipe")
    ask(folder)
    before = descriptors()
    for _ in range(100):
        ask(folder)
    assert descriptors() == before


def test_a_twin_reads_on_when_the_first_is_closed(folder):
    file = folder.open("plain.txt")
    twin = file.duplicate()
    file.close()
    with closing(twin):
        assert twin.read(100, 0) == b"plain"
        assert twin.version == file.version


# Versions.


def settle(path: Path) -> None:
    """Wait until the next change of path can be told from the last one."""
    while time.time() <= path.stat().st_ctime + TICK_S:
        pass


def status_after(path: Path, change) -> tuple[Version, Version]:
    """Return the version before and after the change, which comes in another tick of the clock."""
    before = path.stat()
    settle(path)
    change(path)
    return Version.of(before), Version.of(path.stat())


def overwrite(path: Path) -> None:
    """With the same size, and the same time afterwards."""
    before = path.stat()
    path.write_bytes(b"other")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    """By a copy with the same time."""
    shutil.copy2(path, path.with_name("copy"))
    path.with_name("copy").rename(path)


def map_and_write(path: Path) -> None:
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 5) as content:
        content[0:1] = b"P"


CHANGES = {
    "longer": lambda path: path.write_bytes(b"plain and longer"),
    "shorter": lambda path: os.truncate(path, 3),
    "empty": lambda path: path.write_bytes(b""),
    "of the same size": lambda path: path.write_bytes(b"other"),
    "of the same size and time": overwrite,
    "the same content again": lambda path: path.write_bytes(b"plain"),
    "another time": lambda path: os.utime(path, (1, 1)),
    "other rights": lambda path: path.chmod(0o600),
    "another name more": lambda path: path.with_name("more").hardlink_to(path),
    "replaced by a copy of it": replace,
    "written in memory": map_and_write,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_version_is_another_one_after_every_change(root, change):
    before, after = status_after(root / "plain.txt", change)
    assert before != after
    assert before.digest() != after.digest()


def test_a_version_is_all_that_changes_with_the_content(root):
    status = root.joinpath("plain.txt").stat()
    want = (status.st_dev, status.st_ino, 5, status.st_mtime_ns, status.st_ctime_ns)
    assert Version.of(status) == want


def test_a_version_stays_as_long_as_nothing_changes(folder, root):
    before = Version.of(root.joinpath("plain.txt").stat())
    assert content_of(folder, "plain.txt") == b"plain"
    with closing(folder.open("plain.txt")) as file:
        assert file.version == before
    [entry] = [entry for entry in folder.entries() if entry.name == "plain.txt"]
    assert entry.version == before


def test_a_digest_is_of_24_hexadecimal_digits_and_differs_by_each_number():
    version = Version(1, 2, 3, 4, 5)
    digests = {version.digest()} | {
        version._replace(**{name: 9}).digest() for name in Version._fields
    }
    assert len(digests) == 6
    assert all(len(bytes.fromhex(digest)) == 12 for digest in digests)


AGES = [(0, False), (0.04, False), (0.06, True), (9, True)]


@pytest.mark.parametrize(("age_s", "is_settled"), AGES)
def test_what_was_changed_just_now_may_change_again_unseen(age_s, is_settled):
    version = Version(1, 2, 3, 10**9, 10**9 + 1)
    assert version.is_settled(1 + age_s) == is_settled
    assert version._replace(modified_ns=0).is_settled(1 + age_s) == is_settled


def test_a_file_from_the_future_is_settled_all_the_same(root):
    """The time of the last change (ctime) is the clock's; that of the content is what it is."""
    path = root / "plain.txt"
    os.utime(path, (4e9, 4e9))
    version = Version.of(path.stat())
    assert version.is_settled(path.stat().st_ctime + 1)


# Reading.


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_has_changed_is_not_read_any_more(folder, root, change):
    path = root / "plain.txt"
    with closing(folder.open("plain.txt")) as file:
        assert file.read(5, 0) == b"plain"
        before, after = status_after(path, change)
        with pytest.raises(FileChanged):
            file.read(5, 0)
        with pytest.raises(FileChanged):
            file.check()
        with suppress(FileChanged):
            assert file.read_cached(5, 0) is None
    assert before != after


def test_a_part_is_read_at_its_place(folder, root):
    with closing(folder.open("plain.txt")) as file:
        assert file.read(3, 2) == b"ain"
        assert file.read(100, 3) == b"in"
        assert file.read(100, 5) == b""
        assert file.read_cached(3, 1) in (b"lai", None)
        # Not as much as was asked for: the caller asks for what is there.
        assert file.read_cached(100, 0) is None


SHORT = Path("/sys/kernel/mm/transparent_hugepage")


def test_a_file_that_is_shorter_than_its_size_says_is_no_file():
    """4,096 bytes, says sysfs of each of its files; there are a few."""
    if not (SHORT / "enabled").is_file():
        pytest.skip("this kernel has no such file")
    with closing(Folder("sys", SHORT).open("enabled")) as file:
        assert file.read(10, 0) == SHORT.joinpath("enabled").read_bytes()[:10]
        with pytest.raises(FileChanged, match=r"ends at byte [0-9]+ of 4096"):
            file.read(4096, 0)
        with pytest.raises(FileChanged, match="ends at byte 4000 of 4096"):
            file.read(10, 4000)


def read_in_two(path: Path, change: Callable[[mmap.mmap], None]) -> bytes:
    """Return path's 200,000 bytes of A, read in two parts, the change of them in between.

    The change is of pages in memory that were just written: it does not show in the times, as one
    in the same tick of the file system's clock. Raises FileChanged.
    """
    path.write_bytes(b"A" * 200_000)
    with path.open("r+b") as other, mmap.mmap(other.fileno(), 0) as pages:
        pages[:] = b"A" * 200_000
        with closing(Folder("root", path.parent).open(path.name)) as file:
            assert not file.version.is_settled(time.time())
            first = file.read(100_000, 0)
            change(pages)
            if Version.of(path.stat()) != file.version:
                pytest.fail("this file system tells of every change")
            return first + file.read(100_000, 100_000)


def write_all(pages: mmap.mmap) -> None:
    pages[:] = b"B" * 200_000


def write_what_was_read(pages: mmap.mmap) -> None:
    pages[0:1] = b"B"


def write_what_comes(pages: mmap.mmap) -> None:
    pages[150_000:150_001] = b"B"


@pytest.mark.parametrize("change", [write_all, write_what_was_read])
def test_a_change_in_the_same_tick_is_no_splice(tmp_path, change):
    with pytest.raises(FileChanged):
        read_in_two(tmp_path / "file", change)


def test_what_is_read_is_as_it_was_at_one_moment(tmp_path):
    content = read_in_two(tmp_path / "file", write_what_comes)
    assert content == b"A" * 150_000 + b"B" + b"A" * 49_999


def test_a_part_of_a_file_that_is_not_settled_is_confirmed(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"A" * 10)
    with closing(Folder("root", tmp_path).open("file")) as file:
        assert file.read(4, 0) + file.read(4, 4) == b"A" * 8
        assert file.is_unconfirmed
        file.confirm()
        assert not file.is_unconfirmed
        settle(path)
        assert file.read(4, 0) == b"A" * 4
        assert not file.is_unconfirmed


def test_what_is_in_memory_is_read_at_once(folder, root):
    root.joinpath("cached").write_bytes(b"0123456789" * 1000)
    settle(root / "cached")
    with closing(folder.open("cached")) as file:
        assert file.read(10_000, 0) == file.read_cached(10_000, 0) == b"0123456789" * 1000


def test_what_is_not_in_memory_is_left_to_the_disk(folder, root):
    path = root / "cold"
    path.write_bytes(b"x" * (1 << 20))
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    settle(path)
    with closing(folder.open("cold")) as file:
        if file.read_cached(1 << 20, 0) is not None:
            pytest.skip("this file system has everything in memory")
        assert file.read(1 << 20, 0) == b"x" * (1 << 20)


def test_a_file_is_open_for_reading_only(folder):
    with closing(folder.open("plain.txt")) as file:
        assert isinstance(file, OpenFile)
        with pytest.raises(OSError):
            os.write(file.descriptor, b"x")
        assert not os.get_inheritable(file.descriptor)
