"""Real servers for tests: each is started on a free port when first needed, and ended by its process id."""
