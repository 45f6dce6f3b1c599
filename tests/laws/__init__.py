"""Laws: what holds for every member of a table."""
