"""Real processes on loopback: each world is launched once, and every check in it is a test."""
