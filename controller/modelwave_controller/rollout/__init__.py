"""The state of a rollout and the decision what it does next. Pure: plain values in and out."""
