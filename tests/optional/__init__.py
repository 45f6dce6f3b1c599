"""Against libraries that only some installations have; without them these tests are skipped, and say so."""
