"""`python -m fabricgen`, for environments whose scripts are not on the path."""

from fabricgen.cli.app import main

if __name__ == "__main__":
    main()
