"""Known truth: histories that we train ourselves, labelled by what other arms do on 10,000 test examples."""
