"""Run in the environment of a peer, so they import nothing of ours but each other."""
