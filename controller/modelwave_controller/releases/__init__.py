"""Makes signed releases of model files, and keeps the releases of a home."""
