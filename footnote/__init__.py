"""The front door: the version and the command line that composes each room's commands."""

__version__ = "0.1.0"
