"""Train a model: `python train.py --config configs/mobilenet.yaml`."""

import sys

from flipdetect.cli.train import main

if __name__ == "__main__":
    sys.exit(main())
