"""What people see at /."""
