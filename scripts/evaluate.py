"""Same as `detkit evaluate`, for use as `python scripts/evaluate.py`."""

import sys

from detkit.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
