"""The highest rates that hold: a search over runs on a computed clock, its intervals, and the rate that none passes."""
