"""schemathesis sends made-up requests to every call of a listener, right and wrong ones: no answer
may be an error of the service, or another one than the OpenAPI document says. MODELWAVE_LONG=1:
many more, and their number is printed.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.controller.rollout_world import World, quick
from tests.web.figures import tell
from tests.web.served import served

LONG = os.environ.get("MODELWAVE_LONG") == "1"
EXAMPLES = 40 if LONG else 5  # of each call, in each phase

pytestmark = pytest.mark.slow


def test_no_request_finds_an_error_or_an_answer_that_the_document_has_not(tmp_path: Path) -> None:
    world = World(tmp_path / "world", devices=4)
    world.start(1, quick(50, 100))
    world.tick()
    with served(world) as url:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run"),
                f"{url}/api/v1/openapi.json",
                *("--header", "Authorization: Bearer admin"),
                *("--max-examples", str(EXAMPLES), "--seed", "1", "--generation-database", "none"),
                *("--exclude-path", "/api/v1/log/stream"),  # it has no end
                *("--phases", "examples,coverage,fuzzing" if LONG else "fuzzing"),
                *("--exclude-checks", "positive_data_acceptance,negative_data_rejection"),
                "--no-color",
            ],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
    world.store.close()
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"(\d+) generated", done.stdout)
    assert found
    tell(
        "requests that schemathesis made up",
        int(found[1]),
        "no answer was an error of the service, or another one than the document says",
    )
