"""Real database servers for tests and benchmarks, and the sample database in them."""
