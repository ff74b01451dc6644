"""Arrays in, arrays out: sessions, batches, latents. It knows no transport."""
