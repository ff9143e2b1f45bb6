"""The page of `aptsched report`: stored results as one HTML file, and as a trace for Perfetto."""
