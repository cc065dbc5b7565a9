"""Contracts of the tables, and how they are rendered for Spark, Arrow, Iceberg and people."""
