"""The command `modelwave`, also as `python -m modelwave_controller`."""

from modelwave_controller import interruption


def main() -> None:
    interruption.begin()  # before the imports, which take longest
    from modelwave_controller.cli import main as run_command

    run_command()


if __name__ == "__main__":
    main()
