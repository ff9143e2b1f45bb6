"""The gap study: instances, records, figures, files."""
