"""Model regression suites, a folder per architecture; their snapshots are under snapshots/suites/."""
