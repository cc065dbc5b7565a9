"""What every job uses: the session, staging, and the safe use of SQL expressions."""
