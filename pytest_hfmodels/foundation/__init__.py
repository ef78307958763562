"""Used everywhere: errors, files, names and registries. It imports no other folder of the package."""
