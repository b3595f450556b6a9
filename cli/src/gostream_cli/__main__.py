"""The `gostream` command: handles Ctrl-C before the slow imports."""

import os
import signal

_INTERRUPTED = 130  # ExitCode.INTERRUPTED, not imported yet


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(_INTERRUPTED))
    from gostream_cli.app import main as command

    command()


if __name__ == "__main__":
    main()
