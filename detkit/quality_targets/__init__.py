"""What the quality branch of a dense head learns."""
