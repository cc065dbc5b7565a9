"""Where tables lie: staged files, the lake that they are committed to, SQL over it, and Postgres behind it."""
