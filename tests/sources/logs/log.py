"""A log that is written and rotated as the test likes, and who follows it as the server does."""

import gzip
import os
import shutil

from sources.logs.file import LogFile
from sources.logs.lines import Half, LastLine, as_text
from sources.logs.newest import Share

AMPLE = Share(10**9, 10**9)


class Log:
    """A log in folder, and its writer. lines: what was written, in order."""

    def __init__(self, folder, name="app.log"):
        self.path = folder / name
        self.lines = []
        self.half = b""
        self.file = None
        self.reopen()

    def reopen(self):
        """Write to what has the log's name from now on; a half line stays where it is."""
        if self.file is not None:
            os.close(self.file)
        self.file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, *lines):
        for line in lines:
            self.put(line.encode() + b"\n")

    def put(self, data):
        """Write bytes; what they finish is a line."""
        os.write(self.file, data)
        *whole, self.half = (self.half + data).split(b"\n")
        self.lines += [line.decode() for line in whole]

    def _shift(self):
        """Make room for the next .1, as logrotate does."""
        numbers = {}
        for path in self.path.parent.glob(self.path.name + ".*"):
            number = int(path.name[len(self.path.name) + 1 :].removesuffix(".gz"))
            numbers[number] = path
        for number in sorted(numbers, reverse=True):
            end = ".gz" if numbers[number].suffix == ".gz" else ""
            numbers[number].rename(f"{self.path}.{number + 1}{end}")

    def rename(self, *, reopens=True):
        self._shift()
        self.path.rename(f"{self.path}.1")
        os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT))
        if reopens:
            self.end_file()
            self.reopen()

    def end_file(self):
        """What was half a line is all of it: the writer goes on in another file."""
        if self.half:
            self.lines.append(self.half.decode())
            self.half = b""

    def copy_and_cut(self):
        self._shift()
        shutil.copyfile(self.path, f"{self.path}.1")
        os.truncate(self.path, 0)

    def compress(self, number):
        """gzip the file of that number, keeping its times, as gzip does."""
        plain = self.path.with_name(f"{self.path.name}.{number}")
        status = plain.stat()
        packed = plain.with_name(plain.name + ".gz")
        packed.write_bytes(gzip.compress(plain.read_bytes()))
        os.utime(packed, ns=(status.st_atime_ns, status.st_mtime_ns))
        plain.unlink()

    def close(self):
        os.close(self.file)


class Follower:
    """lines: what it was told, in order. It remembers what the server has on the disk."""

    def __init__(self, path, share=AMPLE, *, links=False):
        self.path, self.share, self.links = path, share, links
        self.lines, self.cuts, self.places = [], [], []
        # So many lines had been told each time that some may be lost.
        self.gaps = []
        self.noted = self.last = None
        self.open()

    def open(self):
        position, last = self.noted, None
        if self.last is not None:
            number, end, line = self.last
            if (number, end) > (position.number, position.end):
                position = position._replace(end=end, half=Half())
            if (number, end) == (position.number, position.end):
                last = LastLine(line, self.cuts[-1] > 0)
        self.log_file = LogFile(self.path, position, self.share, last, links=self.links)

    def restart(self):
        self.log_file.close()
        self.open()

    def step(self):
        """Read once; True when there is more at once."""
        batch = self.log_file.read()
        if batch.lines:
            opened = self.log_file.opened
            if self.noted is None or self.noted.number != opened.number:
                self.noted = opened
            self.gaps += [len(self.lines)] * batch.is_after_loss
            self.lines += [as_text(line.text) for line in batch.lines]
            self.cuts += [line.cut for line in batch.lines]
            self.places += [(batch.number, line.end) for line in batch.lines]
            self.last = (*self.places[-1], self.lines[-1])
        return self.log_file.is_behind

    def read(self):
        """Read until there is nothing more; return all lines so far."""
        for _ in range(10_000):
            if not self.step():
                return self.lines
        raise AssertionError("it does not come to an end")

    def note(self):
        """Write down where it is, as the server does each second."""
        if self.last is not None and self.last[0] == self.log_file.opened.number:
            opened = self.log_file.opened
            if self.last[1] > opened.end:
                self.noted = opened._replace(end=self.last[1], half=Half())

    def close(self):
        self.log_file.close()
