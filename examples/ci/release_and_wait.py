"""The end of a training job: sends the new release to the service, rolls it out, and waits for the
verdict.

    modelwave release create digits v2 … --out BUNDLE       signs, with the release key of a machine
    python release_and_wait.py BUNDLE [BUNDLE …]            one for each target, of one release

$MODELWAVE_URL is the service, $MODELWAVE_TOKEN an operator's access token. The exit code is 0 when
the release runs everywhere, 3 when it was taken back, 5 when it is held, as of `rollout watch`.
"""

import os
import sys

from modelwave_controller.client.client import Client
from modelwave_controller.errors import ModelwaveError, OperatorError
from modelwave_controller.results.rollouts import Status

PLAN = {
    "gates": ["accuracy >= baseline - 0.02", "failures <= 0.01"],
    "stages": [{"percent": 5, "soak": "1h"}, {"percent": 50, "soak": "4h"}, {"percent": 100}],
}
CODES = {"FINISHED": 0, "REVERTED": 3, "ABORTED": 4, "HELD": 5}
OTHER = 6


def add(fleet: Client, bundles: list[str]) -> tuple[str, int]:
    """Adds the bundles, which may be there already; returns the model and its release."""
    manifests = [fleet.releases.add(bundle).manifest for bundle in bundles]
    found = {(manifest["model"], manifest["release"]) for manifest in manifests}
    if len(found) != 1:
        raise OperatorError("BUNDLE: give the bundles of one release")
    return found.pop()


def main(*bundles: str) -> int:
    try:
        with Client(os.environ["MODELWAVE_URL"], os.environ["MODELWAVE_TOKEN"]) as fleet:
            model, release = add(fleet, list(bundles))
            begun = fleet.rollouts.start(model, release, plan=PLAN)
            told: list[str] = []

            def tell(found: Status) -> None:
                line = f"{found.status}: {found.why}" if found.why else found.status
                if told[-1:] != [line]:
                    print(line, flush=True)
                    told.append(line)

            return CODES.get(fleet.rollouts.wait(begun.status.rollout, tell=tell).status, OTHER)
    except ModelwaveError as error:
        print(f"{sys.argv[0]}: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
