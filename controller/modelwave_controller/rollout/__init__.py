"""The state of a rollout and the decision about its next step. Pure: plain values in and out."""
