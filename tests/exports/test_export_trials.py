"""Exports of generated databases and queries, in every format, against the database's own answer.

`make soak` tries many more (export_soak.py); what is tried here is always the same.
"""

import pytest

from tests.exports.export_trial import quick_folder, try_case

CASES = 300
# Some together, or pytest would take longer than they do.
AT_ONCE = 20


@pytest.mark.parametrize("first", range(0, CASES, AT_ONCE))
def test_an_export_is_what_the_database_answers(first):
    with quick_folder() as folder:
        for seed in range(first, first + AT_ONCE):
            try_case(seed, folder)
