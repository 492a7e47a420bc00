"""CPython only: Pi, gateway, Jetson, Coral."""
