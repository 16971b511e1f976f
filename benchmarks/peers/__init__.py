"""Other tools that do the same job, beside us; `make bench-peers`."""
