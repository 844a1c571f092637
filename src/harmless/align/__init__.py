"""Change the model itself: data to align on, training, and the proof that it helped and did not harm."""
