"""Exports of generated databases and queries, EXPORT_CASES of them: `make soak`.

They are tried for EXPORT_S seconds at most. EXPORT_SEED is that of the first case, each has the
next one; a failure names its own, with which `EXPORT_SEED=… EXPORT_CASES=1` tries it again.
"""

import os
import time

import pytest

from tests.exports.export_trial import quick_folder, try_case

CASES = int(os.environ.get("EXPORT_CASES", "100000"))
# A seed of its own each time, unless one is wanted again.
SEED = int(os.environ.get("EXPORT_SEED", str(time.time_ns() % 10**9)))
EXPORT_S = float(os.environ.get("EXPORT_S", "7200"))

TELL_EVERY_S = 10.0
# All are told at the end; more than these are the same few faults.
MOST_FAILURES = 20


@pytest.fixture
def folder():
    with quick_folder() as path:
        yield path


def test_exports_are_what_databases_answer_many_times(folder, capfd):
    start_s = told_s = time.monotonic()
    failures = []
    for done, seed in enumerate(range(SEED, SEED + CASES), 1):
        try:
            try_case(seed, folder)
        except AssertionError as error:
            failures.append(f"EXPORT_SEED={seed}\n{error}")
        now_s = time.monotonic()
        is_last = done == CASES or now_s - start_s > EXPORT_S or len(failures) == MOST_FAILURES
        if is_last or now_s - told_s > TELL_EVERY_S:
            told_s = now_s
            with capfd.disabled():
                print(f"\n{done} of {CASES} exports tried, {len(failures)} failed (from {SEED})")
        if is_last:
            break
    assert not failures, "\n\n".join(failures)
