"""Are the keys that a changed row affects all found? Random data, changes and mappings."""
