"""What a shop does beside its nights: roll one back, forget, compare A/B arms."""
