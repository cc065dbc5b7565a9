"""Reads a shop's files in any form and lands them by the day of each event."""
