"""`python -m gridedge`."""

from gridedge.cli import main

if __name__ == "__main__":
    main()
