"""Every error that this framework raises."""
