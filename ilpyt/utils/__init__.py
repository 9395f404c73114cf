"""What every other sub-package may use: errors, files, logging, seeds."""
