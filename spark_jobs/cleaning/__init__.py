"""Turns landed records into events, quarantine, reconciliation, items and users."""
