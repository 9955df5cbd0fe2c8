"""The start of the `recsys` command, which `python -m recsys.pipelines` is too."""

import os
import sys

from .threads import wait_briefly


def main() -> None:
    """Run the command line and exit; a user's mistake is one line, a bug keeps its traceback."""
    wait_briefly(os.environ)
    from .cli import run  # numpy is loaded with it

    exit_code = run(owns_process=True)
    sys.stdout.flush()
    sys.stderr.flush()
    # Without Python's tear-down: now and then a reader thread of pyarrow is still alive after a
    # refusal, and would turn the exit code into an abort's 134.
    os._exit(exit_code)


if __name__ == "__main__":
    main()
