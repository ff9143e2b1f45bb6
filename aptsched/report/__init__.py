"""Results for people to read: tables and plots."""
