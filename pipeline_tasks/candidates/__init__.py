"""Trains the candidates of a nightly run, searches their options if asked, and compares the best with the champion."""
