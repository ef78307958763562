"""Running tests again after each change: `hfmodels watch`. Only `commands.watch` imports it."""
