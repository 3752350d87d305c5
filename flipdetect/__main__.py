"""`python -m flipdetect`: the command `flipdetect`, where the folder of scripts is not on the path."""

import sys

from flipdetect.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
