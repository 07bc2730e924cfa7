"""Space: what a unit's embedding knows of its neighbours, and of which units lie close together."""
