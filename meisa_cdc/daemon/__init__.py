"""The daemon: schedules, standby, signals."""
