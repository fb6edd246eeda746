"""Same as `detkit predict`, for use as `python scripts/predict.py`."""

import sys

from detkit.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]]))
