"""Judges by the gates of a plan: what devices have measured, and what they will measure. Pure.

findings         what a look finds in what it has read
shadow_findings  the same for a stage in which the release runs beside the live one
sight            what the stages of a plan will see, before it starts
playing          a rollout from look to look, until it ends
fleets           simulated fleets that observe
simulated        what a plan would do to a good release and to worse ones
figures          what a release signs for windows to be judged by
arms             what both sides have sent beyond the gates' quantities
quantities       what a gate judges, and on which scale

The arithmetic is in judge/, the times of looks in rollout/course.py; reading is in storage/.
"""
