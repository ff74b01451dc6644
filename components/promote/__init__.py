"""From a Report to a registered version and, if earned, an alias."""
