"""Rotation in single steps, and a follower that is held up between two calls of the system.

Way in: Rotations, whose steps are taken one by one; HeldUp, which takes some of them in the middle
of a look.
"""

import contextlib
import gzip
import os
from functools import partial
from pathlib import Path

CALLS = ("scandir", "stat", "open", "pread", "fstat")


class Rotations:
    """A log that is copied and cut again and again, as logrotate does.

    steps: what is to be done, in order. lines: what was written, in order. unkept: those of them
    that came between copy and cut, which are in no file.

    count: of rotations. packs: the copies are compressed. late: lines come between copy and cut.
    halves: lines are cut in two. kept: so many copies. extends: app.1.log instead of app.log.1.
    pad: the length of a line.
    """

    def __init__(
        self, path, count, *, packs=False, late=False, halves=False, kept=100, extends=False, pad=0
    ):
        self.path, self.kept, self.pad = path, kept, pad
        self.extends = extends
        self.lines, self.unkept, self.half = [], set(), b""
        self.left = []
        self.log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        write = partial(self.write, half=halves)
        self.steps = [partial(self.write, 2)]
        for number in range(count):
            self.steps += [self.make_room, self.make_copy, self.copy_some, self.copy_rest]
            self.steps += [partial(self.write, 1, unkept=True)] if late else []
            self.steps += [self.cut]
            # Less than there was before, and more.
            self.steps += [partial(self.write, 1), partial(write, 3)][number % 2 :]
            self.steps += [partial(write, 5)] if number % 2 else []
            self.steps += [self.pack, self.drop_plain] if packs else []

    def write(self, count, *, unkept=False, half=False):
        numbers = range(len(self.lines), len(self.lines) + count)
        lines = [f"line {number}".ljust(self.pad, ".") for number in numbers]
        self.lines += lines
        self.unkept |= set(lines if unkept else ())
        data = self.half + "".join(line + "\n" for line in lines).encode()
        self.half = data[-3:] if half else b""
        os.write(self.log, data[: len(data) - len(self.half)])

    def name(self, number, end=""):
        path = self.path
        name = f"{path.stem}.{number}{path.suffix}" if self.extends else f"{path.name}.{number}"
        return str(path.with_name(name + end))

    def make_room(self):
        """Rename the oldest first; what is too old is removed."""
        for number in range(len(self.left), 0, -1):
            end = self.left[number - 1]
            if number >= self.kept:
                Path(self.name(number, end)).unlink()
                del self.left[number - 1]
            else:
                Path(self.name(number, end)).rename(self.name(number + 1, end))
        self.left.insert(0, "")

    def make_copy(self):
        self.copied = self.path.read_bytes()
        self.copy(b"")

    def copy_some(self):
        self.copy(self.copied[: len(self.copied) // 2 + 1])

    def copy_rest(self):
        self.copy(self.copied[len(self.copied) // 2 + 1 :])

    def copy(self, data):
        with open(self.name(1), "ab") as copy:
            copy.write(data)

    def cut(self):
        os.truncate(self.path, 0)

    def pack(self):
        status = Path(self.name(1)).stat()
        with open(self.name(1), "rb") as file, open(self.name(1, ".gz"), "xb") as packed:
            packed.write(gzip.compress(file.read()))
        os.utime(self.name(1, ".gz"), ns=(status.st_atime_ns, status.st_mtime_ns))

    def drop_plain(self):
        Path(self.name(1)).unlink()
        self.left[0] = ".gz"

    def close(self):
        os.close(self.log)


class HeldUp:
    """Counts the calls of the system that ask for files; before some, `steps_at` says what is done.

    steps_at: from the number of the call, from 0, to so many steps.
    """

    def __init__(self, rotations, steps_at):
        self.rotations, self.steps_at = rotations, steps_at
        self.calls = 0
        self.is_stepping = False

    def __enter__(self):
        self.real = {name: getattr(os, name) for name in CALLS}
        for name in CALLS:
            setattr(os, name, partial(self.call, name))
        return self

    def __exit__(self, *error):
        for name, real in self.real.items():
            setattr(os, name, real)

    def call(self, name, *told, **more):
        if not self.is_stepping:
            self.is_stepping = True
            self.step(self.steps_at.get(self.calls, 0))
            self.calls += 1
            self.is_stepping = False
        if name == "scandir":
            # Names are told as they were, though files have others by then.
            with self.real[name](*told, **more) as found:
                return contextlib.nullcontext(list(found))
        return self.real[name](*told, **more)

    def step(self, count):
        for _ in range(count):
            if self.rotations.steps:
                self.rotations.steps.pop(0)()
