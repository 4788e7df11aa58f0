"""What the load process does: `python -m benchmarks.load_tasks`, started by load.py.

The first line of stdin says what: {"task", "limit_s", "told"}. Each report is a line of JSON on
stdout, the failure that ends it too. It ends by itself after limit_s.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from benchmarks import log_tail, uploads
from benchmarks.client import Address, BadAnswer
from benchmarks.crowd import BUFFER_BYTES, NAP_S, Crowd, Dialogue, Member
from benchmarks.kept import ask_for
from benchmarks.post_steps import PostSteps
from benchmarks.posts import post_for
from benchmarks.processes import raise_descriptor_limit
from benchmarks.steps import Steps
from benchmarks.tally import Tally
from benchmarks.ticks import Ticks

JOIN_S = 120
Say = Callable[..., None]


def fan_out(say: Say, address: Address, **told: Any) -> None:
    """Find the highest rate of events that a server hands to all its listeners; see steps.py."""
    steps = Steps(
        address,
        clients=told["clients"],
        listen=Dialogue(**told["listen"]),
        publish=Dialogue(**told["publish"]),
        template=told["template"],
        server=told["pid"],
        say=say,
    )
    steps.climb(told["first_rate"])


def one_a_post(
    say: Say,
    address: Address,
    *,
    core: int,
    listen: dict[str, Any],
    ways: list[str],
    rates: list[float],
    alone: str,
    **told: Any,
) -> None:
    """Publish by POSTs of one event, on one core; see post_steps.py."""
    os.sched_setaffinity(0, {core})
    PostSteps(address, listen=Dialogue(**listen), say=say, **told).run(ways, rates, alone)


def reconnect(
    say: Say,
    address: Address,
    *,
    core: int,
    clients: int,
    watchers: int,
    calm_s: float,
    listen: dict[str, Any],
    events: int,
) -> None:
    """Have so many clients connect at once, each of which is to have so many events.

    Report when all were connected and had them, and the ticks that came: some clients watch them
    for calm_s before.
    """
    os.sched_setaffinity(0, {core})
    tally, ticks = Tally(), Ticks()

    def on_text(member: Member, frame: bytes, text: bytes) -> None:
        tally.on_text(member, frame, text)
        ticks.on_text(member, frame, text)

    crowd = Crowd(address, eat=tally.eat, on_text=on_text)
    crowd.join(watchers, Dialogue(**listen), JOIN_S)
    ends_s = time.monotonic() + calm_s
    while time.monotonic() < ends_s:
        crowd.turn(0.05)
    began_s, began_at = time.monotonic(), time.time()
    members = crowd.join(clients, Dialogue(**listen), JOIN_S)
    connected_s = time.monotonic() - began_s
    while not crowd.gone and any(member.seq < events for member in members):
        for _ in range(10):
            crowd.turn(0.05)
    say(
        connected_s=connected_s,
        served_s=time.monotonic() - began_s,
        wrong=tally.skipped + tally.strayed + crowd.gone,
        began_at=began_at,
        served_at=ticks.served_at,
        arrivals=[(number, at_s) for number, at_s in ticks.arrivals if at_s >= began_at],
    )


def drink(say: Say, address: Address, *, clients: int, listen: dict[str, Any], events: int) -> None:
    """Listen until every client has so many events, numbered from 0; report frames and seconds.

    They count from the first turn that brought any. least: the events of the client with the
    fewest. Processor time is reported too: below a core the source was slower than this process.
    """
    tally = Tally()
    crowd = Crowd(address, eat=tally.eat, on_text=tally.on_text)
    members = crowd.join(clients, Dialogue(**listen), JOIN_S)
    while not crowd.gone and not any(member.seq for member in members):
        crowd.turn(1.0)
    began_s, used_s = time.monotonic(), time.process_time()
    had = sum(member.seq for member in members)
    while not crowd.gone and any(member.seq < events for member in members):
        for _ in range(10):
            crowd.turn(0.1)
    used_s, seconds = time.process_time() - used_s, time.monotonic() - began_s
    frames = sum(member.seq for member in members) - had
    wrong = tally.skipped + tally.strayed + crowd.gone
    least = min(member.seq for member in members)
    say(frames=frames, least=least, seconds=seconds, used_s=used_s, wrong=wrong)


def hold(say: Say, address: Address, *, clients: int, listen: dict[str, Any]) -> None:
    """Connect, say how long that took, stay until stdin ends; then report the ticks that came."""
    ticks = Ticks()
    crowd = Crowd(address, on_text=ticks.on_text)
    began_s = time.monotonic()
    crowd.join(clients, Dialogue(**listen), JOIN_S)
    say(connected_s=time.monotonic() - began_s)
    while not select.select([sys.stdin], [], [], 0)[0]:
        crowd.turn(0.05)
    say(gone=crowd.gone, served_at=ticks.served_at, arrivals=ticks.arrivals)


def post(say: Say, address: Address, *, path: str, clients: int, seconds: float) -> None:
    """POST single events on so many connections, each as soon as the one before is answered."""
    took_s = post_for(address, path, clients, seconds)
    say(took_s=took_s, seconds=seconds)


def ask(say: Say, address: Address, *, request: str, clients: int, seconds: float) -> None:
    """Ask the same on so many kept connections; report how many answers came."""
    say(answers=len(ask_for(address, request.encode(), clients, seconds)))


def upload(say: Say, address: Address, *, topic: str, events: int, how: str) -> None:
    """Publish so many events on one connection, `stream` or `batches`; report the seconds."""
    say(seconds=uploads.upload(address, topic, events, how))


def append(say: Say, address: None, *, path: str, rate: float, seconds: float) -> None:
    """Append numbered lines to a log; report when the first was due."""
    began_s, count = log_tail.append(path, rate, seconds)
    say(began_s=began_s, lines=count)


def tail(
    say: Say, address: Address | None, *, path: str, followers: int, lines: int, rate: float
) -> None:
    """Follow a log, say so, and report once every follower has so many lines.

    address: of a server that follows the log called path; None for `tail -F` of the file. Reported
    is for each line that was looked at when it came, less the time that it was due after the first.
    """
    poller, descriptors, everything = select.epoll(), {}, ExitStack()
    stream = log_tail.Stream(followers)
    with everything:
        for index in range(followers):
            source = log_tail.open_source(everything, address, path)
            descriptors[source] = log_tail.Tail(index, stream, is_http=address is not None)
            poller.register(source, select.EPOLLIN)
        say(following=followers)
        tails = list(descriptors.values())
        while any(each.lines < lines for each in tails):
            ready = poller.poll(0)
            if not ready:
                time.sleep(NAP_S)
            for source, _ in ready:
                data = os.read(source, BUFFER_BYTES)
                if not data:
                    raise BadAnswer(f"a follower was cut after {descriptors[source].lines} lines")
                descriptors[source].feed(data)
    since = [at_s - line / rate for each in tails for line, at_s in each.latencies]
    say(wrong=stream.wrong, since_due_s=since)


TASKS: dict[str, Callable[..., None]] = {
    task.__name__: task
    for task in (fan_out, one_a_post, reconnect, drink, hold, post, ask, upload, append, tail)
}


def main() -> int:
    order = json.loads(sys.stdin.readline())
    signal.alarm(round(order["limit_s"]))
    raise_descriptor_limit()
    # A collection over a thousand clients would hold up all of them; nothing here makes cycles.
    gc.disable()
    told = order["told"]
    told["address"] = told["address"] and tuple(told["address"])
    try:
        TASKS[order["task"]](_say, **told)
    except BadAnswer as error:
        _say(failed=str(error))
        return 1
    except OSError as error:
        _say(failed=f"{type(error).__name__}: {error}")
        return 1
    return 0


def _say(**report: Any) -> None:
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    sys.exit(main())
