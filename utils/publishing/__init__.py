"""What builds, tests and hands out the book; nothing imports it."""
