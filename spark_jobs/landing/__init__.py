"""Reads a shop's files in any format and lands them as Parquet, by the day of each event."""
