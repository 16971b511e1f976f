"""Meisa's public endpoints, one module an area; `table` lists them all."""
