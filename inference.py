"""Predict on a folder of frames: `python inference.py --folder-path frames/`."""

import sys

from flipdetect.cli.predict import inference

if __name__ == "__main__":
    sys.exit(inference())
