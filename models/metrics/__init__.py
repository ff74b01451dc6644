"""Scores in stages: images → features → statistics → score. numpy only."""
