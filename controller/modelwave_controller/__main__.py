"""`python -m modelwave_controller` is the command `modelwave`."""

from modelwave_controller.cli import main

main()
