"""What a person reads: tables and plots."""
