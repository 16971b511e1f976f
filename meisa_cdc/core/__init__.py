"""What decides: values and functions, no I/O, no clock."""
