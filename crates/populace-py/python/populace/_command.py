"""The command `populace`."""

import signal
import sys
from collections.abc import Sequence


def run(arguments: Sequence[str]) -> int:
    """Run the command with these arguments, in this process; give its exit code."""
    from populace import _populace

    # The command handles Ctrl-C by itself; Python's handler would wait until it ends.
    previous = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        sys.stdout.flush()
        return _populace.command(["populace", *arguments])
    finally:
        signal.signal(signal.SIGINT, previous or signal.SIG_DFL)


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))
