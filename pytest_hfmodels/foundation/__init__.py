"""What every room stands on: errors, files, names and registries. It imports no other room."""
