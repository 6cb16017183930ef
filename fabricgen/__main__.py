"""`python -m fabricgen`, for environments whose scripts are not on the path."""

import sys

from fabricgen.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
