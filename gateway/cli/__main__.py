"""`python -m gateway.cli`: the command `gateway` where it is not installed, as on hosts that run a Procfile."""

from gateway.cli import main

if __name__ == "__main__":
    main()
