"""`python -m footnote`."""

from footnote.cli import main

main()
