"""What the night says of shoppers and items beside the shelves: intent, demand, tastes."""
