"""Who writes a log: `python -m tests.system.log_writer <path> <lines a second> <lines a write>`.

Numbered lines, appended; a HUP opens the log anew. When stdin ends it writes the last line, and
prints its number. Way in: LogWriter.
"""

import os
import select
import signal
import subprocess
import sys
import time

from tests.system.server import ROOT

LAST = "the last"


class LogWriter:
    """A running one. stop() returns how many lines there are."""

    def __init__(self, path, rate=1000, burst=1):
        command = [sys.executable, "-m", "tests.system.log_writer", path, str(rate), str(burst)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.process.stdout.readline()

    def stop(self):
        told, _ = self.process.communicate(timeout=20)
        return int(told)

    def close(self):
        self.process.kill()
        self.process.communicate()


def text_of(number):
    return f"{number} " + "x" * (number % 90)


def main(path, rate, burst):
    def reopen(*signal):
        nonlocal file
        fresh = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.close(file)
        file = fresh

    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    signal.signal(signal.SIGHUP, reopen)
    print("ready", flush=True)
    number, began_s = 0, time.monotonic()
    while not select.select([sys.stdin], [], [], 0)[0]:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
        lines = [f"{text_of(number + n)}\n" for n in range(burst)]
        os.write(file, "".join(lines).encode())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
        number += burst
        time.sleep(max(0.0, began_s + number / rate - time.monotonic()))
    os.write(file, f"{number} {LAST}\n".encode())
    print(number + 1)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
