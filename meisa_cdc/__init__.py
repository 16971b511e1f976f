"""Keeps Meisa in step with an application's own database, within its request limits."""

__version__ = "0.1.0"
