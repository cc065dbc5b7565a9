"""Item search for a shop's search box: text match and vector similarity, fused."""
