"""The scenario for minutes: `SOAK_S=600 pytest tests/system/soak.py`, or `make soak`.

As in test_scenario.py, 200 readers and a publisher go through a storm; the server is killed,
reloaded and stopped in turn for as long as SOAK_S says: three minutes unless told otherwise, an
hour at most.
"""

import itertools
import os
import signal
import time

from tests.system.server import is_gone, wait_until
from tests.system.test_scenario import (
    CROWD,
    STORM,
    check_numbers,
    publishing,
    reach,
    stage,  # noqa: F401 (a fixture)
)

SOAK_S = min(float(os.environ.get("SOAK_S", "180")), 3600.0)
# How much is published between one upset and the next.
EVENTS = 400


def kill(server):
    server.kill()
    server.start()


def stop(server):
    assert server.stop() == 0
    server.start()


def reload(server):
    worker = server.worker()
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: is_gone(worker), "the old worker is gone", 40)


def test_every_event_once_and_in_order_for_minutes(stage):  # noqa: F811
    server, cutter, crowd = stage("demo/soak", CROWD)
    ends_s = time.monotonic() + SOAK_S
    cutter.storm(STORM)
    with publishing(cutter.base, "demo/soak", most=5) as acknowledged:
        for upset in itertools.cycle([kill, reload, stop]):
            reach(acknowledged, len(acknowledged) + EVENTS)
            if time.monotonic() > ends_s:
                break
            upset(server)
        cutter.storm(None)
    crowd.wait()
    for transport, size in CROWD.items():
        heard = crowd.heard(transport)
        assert len(heard) == size
        assert {check_numbers(each, len(acknowledged)) for each in heard.values()} == {0}
    print(f"{len(acknowledged)} events, {cutter.cuts} cuts, {cutter.stalls} stalls")
