"""`python -m vrsky_fast.cli` is the same as `vrsky`."""

from .main import main

main()
