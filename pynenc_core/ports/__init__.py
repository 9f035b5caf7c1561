"""What plugins implement, and the narrow views through which they see the core."""
