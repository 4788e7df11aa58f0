"""What all sockets share that are listened to. A value; way in: SocketLimits."""

from __future__ import annotations

from typing import NamedTuple

from auth.request_scheduler import RequestScheduler
from auth.unfinished import Unfinished


class SocketLimits(NamedTuple):
    """scheduler: what comes is understood and answered in its turns. unfinished: not whole yet."""

    scheduler: RequestScheduler
    unfinished: Unfinished
