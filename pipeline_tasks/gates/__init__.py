"""What Great Expectations holds every table to, and how a gate says what it found."""
