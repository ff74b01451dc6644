"""From the bytes of a picture's file to one square of uint8, or to the reason why not. Knows no source."""
