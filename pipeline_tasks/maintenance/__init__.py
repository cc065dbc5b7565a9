"""Maintenance outside the nightly run: rollback, erasure of users, retention, and the comparison of A/B arms."""
