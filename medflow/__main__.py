"""`python -m medflow` is `medflow`."""

from medflow.cli import main

main()
