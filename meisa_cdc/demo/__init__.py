"""The demo: a made-up application's database, and the tour through the whole job on it."""
