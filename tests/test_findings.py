"""Every kind of finding of bandit is answered in docs/decisions/0011-what-bandit-finds.md."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

PROJECT = Path(__file__).parent.parent
ANSWERS = PROJECT / "docs" / "decisions" / "0011-what-bandit-finds.md"
NO_SERVER = {"tests", "benchmarks", "setup", "deploy", "docs", "instance", "node_modules"}


def files():
    for path in sorted(PROJECT.rglob("*.py")):
        top = path.relative_to(PROJECT).parts[0]
        if not top.startswith(".") and top not in NO_SERVER:
            yield str(path)


def test_every_finding_is_answered():
    command = [sys.executable, "-W", "ignore", "-m", "bandit", "-q", "-f", "json", *files()]
    found = json.loads(subprocess.run(command, capture_output=True, timeout=120).stdout)
    assert len(found["metrics"]) > 100
    assert found["errors"] == []
    assert [each for each in found["results"] if each["issue_severity"] == "HIGH"] == []
    rows = re.findall(r"^\| ((?:B\d+[, ]*)+)[^|]*\| (\d+) \|", ANSWERS.read_text(), re.MULTILINE)
    kinds = Counter(each["test_id"] for each in found["results"])
    for ids, most in rows:
        count = sum(kinds.pop(kind, 0) for kind in re.findall(r"B\d+", ids))
        assert count <= int(most), ids
    assert not kinds
