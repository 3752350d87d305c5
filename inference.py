"""Predict on a folder of frames: `python inference.py --folder-path frames/`."""

import sys

from flipdetect.cli.inference import main

if __name__ == "__main__":
    sys.exit(main())
