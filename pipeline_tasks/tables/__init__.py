"""Contracts of the tables, and their schemas for Spark, Arrow and Iceberg."""
