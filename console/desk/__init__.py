"""What a front may ask: settings, a board folded from events, feeds. Joins the rooms, holds no state."""
