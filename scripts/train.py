"""Same as `detkit train`, for use as `python scripts/train.py`."""

import sys

from detkit.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
