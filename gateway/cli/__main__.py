"""`python -m gateway.cli`, for the processes that `gateway serve` starts."""

from gateway.cli import main

main()
