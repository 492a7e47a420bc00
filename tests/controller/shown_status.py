"""A status to draw."""

from modelwave_controller.results.rollouts import StageRow, Status

STATUS = Status(
    rollout=3,
    model="digits",
    release=2,
    version="v2",
    targets=["rp2040"],
    seed=7,
    status="RUNNING",
    why="stage 1 (10 %): 1 of 2 devices succeeded, 1 in progress",
    next="the gate decides when enough devices answered, in 50 s at the latest",
    warnings=[],
    rows=[
        StageRow("stage 1 (10 %)", 2, 1, 1, 0, 0, 0, 0, 0, "pending", ""),
        StageRow("stage 2 (100 %)", 0, 0, 0, 0, 0, 0, 0, 0, "", ""),
    ],
    problems=[],
)
