"""What must be fast and small, measured as ratios and peaks."""
