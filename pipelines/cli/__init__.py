"""The command ``ganvas``. Every subcommand imports what it needs when it is called."""
