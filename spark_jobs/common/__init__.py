"""Shared code of the jobs: the session, staging, and the safe use of SQL expressions."""
