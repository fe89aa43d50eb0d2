"""gridedge: what AI computing does to the grid, and what the grid lets it do."""
