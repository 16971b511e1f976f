"""Which contacts does a changed row affect? Derived from a mapping's SQL, without I/O."""
