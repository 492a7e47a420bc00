"""What is mutated, and the tests that have to notice it: those of the everyday suite that are about
this part. A survivor of them is shown to a reader, not to tests that are about something else."""

from dataclasses import dataclass

AGENT, SHARED = "agent/modelwave_agent", "shared/modelwave_shared"
CONTROLLER = "controller/modelwave_controller"


@dataclass(frozen=True)
class Part:
    files: tuple[str, ...]
    tests: tuple[str, ...]


def _in(folder: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}.py" for name in names)


PARTS = {
    "machine": Part(
        _in(AGENT, "machine"),
        _in(
            "tests/agent",
            "test_machine",
            "test_faults",
            "test_orders",
            "test_shadow",
            "test_undecided",
        ),
    ),
    "checks": Part(_in(AGENT, "checks"), _in("tests/agent", "test_orders")),
    "decide": Part(
        _in(f"{CONTROLLER}/rollout", "decide"),
        (
            *_in(
                "tests/controller",
                "test_decide",
                "test_situations",
                "test_looks",
                "test_pace",
                "test_approval",
            ),
            *_in("tests/controller", "test_maintenance", "test_rollouts"),
        ),
    ),
    "gates": Part(
        _in(f"{CONTROLLER}/rollout", "gates", "planned_gates"),
        _in("tests/controller", "test_gates", "test_planned_gates", "test_sight", "test_plan"),
    ),
    "judge": Part(
        _in(
            f"{CONTROLLER}/judge",
            *("agreement", "compare", "contrast", "devices", "drift", "estimated", "levels"),
            *("limit", "looks", "needs", "permutation", "proportions", "rollbacks", "silence"),
            *("statistics",),
        ),
        _in(
            "tests/judge",
            *("test_statistics", "test_proportions", "test_looks", "test_contrast", "test_bounds"),
            *("test_needs_bounds", "test_permutation"),
            *("test_levels", "test_limit", "test_needs", "test_agreement", "test_compare"),
            *("test_devices", "test_drift", "test_estimated", "test_rollbacks", "test_silence"),
        ),
    ),
    "trust": Part(
        (
            *_in(SHARED, "dsse", "roles", "roots"),
            *_in(AGENT, "root_store", "root_walk"),
            *_in(f"{CONTROLLER}/trust", "chain", "changes", "custody", "keys", "roots"),
        ),
        (
            *_in("tests/core", "test_dsse", "test_documents", "test_document_rules", "test_trust"),
            *_in("tests/agent", "test_root_walk", "test_host_roots"),
            *_in("tests/controller", "test_root_chain", "test_new_root", "test_keys"),
            *_in("tests/controller", "test_custody", "test_cli_key", "test_root_changes"),
        ),
    ),
}
