"""A file descriptor that closes itself, and reads that do not wait for the disk.

Way in: Descriptor, read_cached.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

# A file system without it, or a system without the flag, answers with one of these.
_NO_NOWAIT = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


class Descriptor:
    """A file descriptor that is closed when nothing refers to this object any more.

    So one thread may drop a file while another still reads from it: its number cannot be reused
    meanwhile.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self.fd)


def read_cached(fd: int, start: int, length: int) -> bytes:
    """Return the bytes from start on that the page cache has; b"" if the disk is needed."""
    buffer = bytearray(length)
    try:
        return bytes(memoryview(buffer)[: os.preadv(fd, [buffer], start, os.RWF_NOWAIT)])
    except BlockingIOError:
        return b""
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_NOWAIT:
            raise
        return b""
