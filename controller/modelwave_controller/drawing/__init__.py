"""Draws small pictures as SVG, or in characters, and builds HTML in which every text is escaped."""
