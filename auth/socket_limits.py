"""What all sockets share that are listened to. A value; way in: SocketLimits."""

from __future__ import annotations

from typing import NamedTuple

from auth.request_scheduler import Turns
from auth.unfinished import Unfinished


class SocketLimits(NamedTuple):
    """turns: what comes is understood and answered in them. unfinished: what has not come whole."""

    turns: Turns
    unfinished: Unfinished
