"""The app database, read-only: templates, their inspection, and one snapshot a pass."""
