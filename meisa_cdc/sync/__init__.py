"""The main use case: capture, plan, push."""
