"""`python -m flipdetect.synth ...` is `flipdetect render ...`."""

import sys

from flipdetect.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["render", *sys.argv[1:]]))
