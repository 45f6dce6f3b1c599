"""Choices that depend on names alone, so that they are the same on every machine and in every order."""

import hashlib


def fixed(text: str, below: int) -> int:
    """A number in [0, below) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % below
