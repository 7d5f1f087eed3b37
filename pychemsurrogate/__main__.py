"""`python -m pychemsurrogate` is the same as the command `pychemsurrogate`."""

from pychemsurrogate.cli import main

if __name__ == "__main__":
    main()
