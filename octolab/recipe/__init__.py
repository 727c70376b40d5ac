"""What the user writes: the schema of a recipe, and how a file becomes one."""
