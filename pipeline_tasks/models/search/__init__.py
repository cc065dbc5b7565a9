"""What a shop's search box asks for: words and meaning, fused."""
