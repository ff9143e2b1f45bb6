"""Draws of next tokens without sorting a vocabulary: those that may be drawn, and one of them by its share."""
