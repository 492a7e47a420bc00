"""For how long access tokens may let somebody in, in seconds."""

DEFAULT_SECONDS = 90 * 86400
LEAST_SECONDS = 60
MAX_SECONDS = 2 * 365 * 86400
