"""The collaborative part of the hybrid: what follows what, in factors, and what shoppers want again."""
