"""A product, a rate-limited server and whoever sends, on a clock that is set by hand."""
