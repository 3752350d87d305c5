"""Training from the command line: configurations, their quick check, and LightningCLI."""
