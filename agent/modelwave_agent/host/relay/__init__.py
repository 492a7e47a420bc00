"""The gateway: speaks at the broker for boards that have no network, over a wire to each."""
