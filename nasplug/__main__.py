"""python -m nasplug +space=NAME +strategy=NAME [key=value ...]"""

import os
import sys


def start() -> None:
    """The command line as a program: Ctrl-C is handled before anything heavy is imported."""
    from nasplug.app.command_line.stopping import install

    install()
    main()


def main() -> None:
    """The command line."""
    from nasplug.app.command_line.main import main as command_line

    command_line()


if __name__ == "__main__":
    if sys.path[0] == os.getcwd():  # put there by -m: what is installed goes before what lies about
        sys.path.append(sys.path.pop(0))
    start()
