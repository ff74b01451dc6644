"""Pictures and charts that reports, previews and training show."""
