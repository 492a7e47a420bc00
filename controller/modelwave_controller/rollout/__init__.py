"""What a rollout is and what it does next: plain values in, plain values out."""
