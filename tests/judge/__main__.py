"""`make judge`: what the judge does to good and bad releases, as tables. Whole rollouts, simulated
(worlds.py says how), and judged by modelwave_controller/judge; about an hour on one core. Give
the names of tables for some of them, and --runs for shorter ones."""

import argparse
import sys
import time

import numpy as np

from modelwave_controller.judge.compare import Pair
from modelwave_controller.judge.devices import Observed, arm, fold, fold_before
from modelwave_controller.judge.levels import judge
from modelwave_controller.judge.verdicts import PASS
from tests.arguments import add_names, whole
from tests.ending import INTERRUPTED
from tests.judge import evidence
from tests.judge.rollouts import Fleet, Plan, false_fails, interval, play
from tests.judge.worlds import WORLDS, World

ACCURACY = World()
LEAST_RUNS = 4  # the largest fleets get a fourth of them


def rows(header, lines):
    print("\n| " + " | ".join(header) + " |")
    print("|" + " --- |" * len(header), flush=True)
    for line in lines:
        print("| " + " | ".join(str(cell) for cell in line) + " |", flush=True)


def good(runs, seed):
    """No effect: rollouts that FAIL, % [95 %]; beside it z at each window, and Flagger's rule"""

    def lines():
        for devices in (12, 50, 500, 10_000):
            number = runs if devices < 10_000 else runs // 4
            rng = np.random.default_rng([seed, devices])
            one, four = _false(rng, Plan(devices), ACCURACY, number)
            others = [
                _others(rng, Plan(devices)) for _ in range(max(20, min(300, 10**5 // devices)))
            ]
            z, flagger = (f"{100 * share:.0f}" for share in np.mean(others, 0))
            yield devices, one, four, z, flagger

    rows(["devices", "1 quantity", "4 quantities", "z > 1.96 at a window", "Flagger"], lines())


def _false(rng, plan, world, runs):
    """Four independent fleets are a rollout with four quantities, and four with one."""
    found = np.array([false_fails(rng, plan, world) for _ in range(4 * runs)])
    four = found[:, 1].reshape(-1, 4).any(1)
    return interval(found[:, 0].sum(), 4 * runs), interval(four.sum(), runs)


def _others(rng, plan):
    fleet = Fleet(rng, plan, ACCURACY)
    stages = range(len(plan.stages))
    return any(fleet.z(s) > 1.96 for s in stages), any(fleet.flagger(s) for s in stages)


def worlds(runs, seed):
    """No effect, other worlds: rollouts that FAIL, % [95 %], with 1 and with 4 quantities"""

    def lines():
        for number, (name, world) in enumerate(WORLDS.items()):
            cells = []
            for devices in (12, 50, 500):
                rng = np.random.default_rng([seed, devices, number])
                cells += _false(rng, Plan(devices), world, runs if devices < 500 else runs // 4)
            yield name, *cells

    rows(["world", *(f"{n}: {m}" for n in (12, 50, 500) for m in ("1", "4"))], lines())


def held(runs, seed):
    """No effect, held for two further looks at each stage: rollouts that FAIL, % [95 %]"""

    def lines():
        for devices in (12, 50):
            rng = np.random.default_rng([seed, devices])
            plan = Plan(devices, extensions=2)
            yield devices, *_false(rng, plan, ACCURACY, runs // 2)

    rows(["devices", "1 quantity", "4 quantities"], lines())


def halt(runs, seed):
    """Worse by so many points, one of 4 quantities: % of the fleet open at the halt, mean (100 is
    never)"""

    def lines():
        for devices in (12, 50, 500, 10_000):
            cells = []
            for harm in (0.01, 0.02, 0.05, 0.10):
                number = max(20, runs // 5 if devices < 10_000 else runs // 20)
                rng = np.random.default_rng([seed, devices])
                plan = Plan(devices, quantities=4)
                ends = [play(Fleet(rng, plan, ACCURACY, harm)) for _ in range(number)]
                cells.append(f"{100 * np.mean([end.open for end in ends]):.3g}")
            yield devices, *cells

    rows(["devices", "1 point", "2", "5", "10"], lines())


PLANS = [  # devices, shares of stages, margin
    (500, (0.01, 0.1, 0.5), 0.01),
    (50, (0.06, 0.2, 0.5), 0.02),
    (12, (0.25, 0.5), 0.05),
]


def finish(runs, seed):
    """INCONCLUSIVE is held, 4 quantities: good releases that finish, %; 5 points worse: that
    finish, and % of the fleet open at the end"""

    def lines():
        for devices, shares, margin in PLANS:
            for extensions in (0, 2):
                plan = Plan(devices, shares, 4, margin, goes_on=False, extensions=extensions)
                cells = []
                for harm in (0.0, 0.05):
                    rng = np.random.default_rng([seed, devices])
                    fleets = (Fleet(rng, plan, ACCURACY, harm) for _ in range(max(20, runs // 5)))
                    ends = [play(fleet) for fleet in fleets]
                    cells.append(f"{100 * np.mean([end.ended.word == PASS for end in ends]):.0f}")
                cells.append(f"{100 * np.mean([end.open for end in ends]):.3g}")
                yield devices, plan.stages, margin, extensions, *cells

    header = [
        "devices",
        "stages",
        "margin",
        "further looks",
        "good finishes",
        "bad finishes",
        "open",
    ]
    rows(header, lines())


def rollbacks(runs, seed):
    """Roll-backs: a good release (0.5 % stray) that is reverted by chance, %"""
    limits = evidence.thresholds(10_000)

    def lines():
        for devices in (5, 12, 50, 500, 10_000):
            rng = np.random.default_rng([seed, devices])
            number = 2 * runs if devices < 10_000 else runs // 4
            held, reverted = evidence.one_by_one(rng, number, devices, evidence.STRAY, limits)
            opened, answered = evidence.whole_stages(rng, number, devices, evidence.STRAY, limits)
            cliff = evidence.cliff(rng, number, devices, evidence.STRAY)
            shares = (np.mean(reverted > 0), opened, answered, np.mean(held > 0), cliff)
            yield devices, *(f"{100 * share:.1f}" for share in shares)

    rows(
        [
            "devices",
            "one by one",
            "whole stages, failures first",
            "the same, if only answers counted",
            "held at some time",
            "rule of shares (rollout/gates.py)",
        ],
        lines(),
    )

    def bad():
        for share in (0.02, 0.05, 0.1, 0.2, 0.5):
            rng = np.random.default_rng([seed, 1])
            held, reverted = evidence.one_by_one(rng, 2 * runs, 1000, share, limits)
            after = np.where(reverted > 0, reverted, 10**6)
            by_12 = [100 * np.mean((x > 0) & (x <= 12)) for x in (reverted, held)]
            median, late = np.median(after), np.quantile(after, 0.9)
            yield f"{share:.0%}", f"{median:.0f}", f"{late:.0f}", *(f"{x:.0f}" for x in by_12)

    rows(["roll back", "reverted after, median", "90 %", "% by the 12th", "held by it"], bad())


def target(runs, seed):
    """One of 20 targets is worse, 4 quantities: found in its first stage, %; a good one FAILs"""

    def lines():
        for each, harm in ((500, 0.05), (500, 0.10), (50, 0.05), (50, 0.10), (50, 0.0)):
            rng = np.random.default_rng([seed, each])
            number = max(10, runs // 20 if each == 500 else runs // 5)
            found = [evidence.targets_that_fail(rng, 20, each, harm) for _ in range(number)]
            yield 20 * each, 100 * harm, *(f"{100 * share:.0f}" for share in np.mean(found, 0))

    rows(["devices", "points", "the target", "all together", "a good target"], lines())


def silence(runs, seed):
    """The model crashes so many of the devices: silence FAILs by stage, %"""

    def lines():
        for devices in (12, 50, 500):
            for crashed in (0.0, 0.2, 0.5):
                rng = np.random.default_rng([seed, devices])
                found = [evidence.silence_fails(rng, devices, crashed) for _ in range(runs)]
                by = [np.mean([f is not None and f <= s for f in found]) for s in range(3)]
                yield devices, f"{crashed:.0%}", *(f"{100 * share:.1f}" for share in by)

    rows(["devices", "crash", "1st stage", "2nd", "3rd"], lines())


def unlabelled(runs, seed):
    """No labels, 50 devices, 4 quantities: % of the fleet open when estimated accuracy HOLDs"""

    def lines():
        for name, falls, honest in (
            ("5 points worse, confidence falls by 5", 0.05, False),
            ("by 2.5", 0.025, False),
            ("by 1", 0.01, False),
            ("by 0 (over-confident)", 0.0, False),
            ("no harm, confidence lower by 5, which its table knows", 0.05, True),
        ):
            rng = np.random.default_rng([seed, 3])
            plan = Plan(50, quantities=4)
            fleets = [
                evidence.Confident(rng, plan, falls, honest) for _ in range(max(10, runs // 20))
            ]
            shares = np.array([fleet.share_at_halt() for fleet in fleets])
            yield name, f"{100 * shares.mean():.3g}", f"{100 * np.mean(shares < 1):.0f}"

    rows(["new model", "open", "held, %"], lines())


def cost(runs, seed):
    """A look after 8 windows, in ms: a device's windows to sums, the arms, their comparison"""

    def lines():
        for devices, canaries in ((12, 3), (50, 5), (500, 50), (10_000, 99), (10_000, 1000)):
            for harm in (0.0, 0.10):
                rng = np.random.default_rng([seed, devices])
                plan = Plan(devices, (canaries / devices,), quantities=4)
                yield devices, canaries, *_times(Fleet(rng, plan, ACCURACY, harm), canaries)

    rows(["devices", "canaries", "verdict", "sums", "arms", "comparison"], lines())


def _times(fleet, canaries):
    windows = list(fleet.data.windows())
    times = [time.process_time()]
    devices = [Observed(*fold_before(before), fold(now)) for before, now in windows]
    times.append(time.process_time())
    quantity, frozen = fleet.quantity, fleet.frozen
    sides = devices[:canaries], devices[canaries:]
    pair = Pair(*(arm(side, quantity, frozen) for side in sides))
    times.append(time.process_time())
    word = judge({"": pair}, quantity, fleet.plan.occasion(0, 3)).word
    times.append(time.process_time())
    return word, *(f"{1000 * x:.1f}" for x in np.diff(times))


TABLES = (good, worlds, held, halt, finish, rollbacks, target, silence, unlabelled, cost)


def main():
    parser = argparse.ArgumentParser(prog="make judge", description=__doc__)
    add_names(parser, "tables", (table.__name__ for table in TABLES), "table")
    parser.add_argument(
        "--runs", type=whole(LEAST_RUNS), default=2000, help="rollouts of four quantities"
    )
    parser.add_argument("--seed", type=whole(0), default=0)
    options = parser.parse_args()
    chosen = [one for one in TABLES if not options.tables or one.__name__ in options.tables]
    try:
        for table in chosen:
            _told(table, options.runs, options.seed)
    except KeyboardInterrupt:
        print("\nended by Ctrl-C")
        return INTERRUPTED
    return 0


def _told(table, runs, seed):
    began = time.process_time()
    print(f"\n{' '.join(table.__doc__.split())}", flush=True)
    table(runs, seed)
    print(f"({runs} runs, seed {seed}: {time.process_time() - began:.0f} s)")


if __name__ == "__main__":
    sys.exit(main())
