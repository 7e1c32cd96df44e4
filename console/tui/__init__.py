"""The Textual console. Draws what the desk tells; touches no SSH, no Docker, no journal."""
