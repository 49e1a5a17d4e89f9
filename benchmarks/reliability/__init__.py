"""What survives when things are killed under load: one fault after the other, judged from MongoDB. See README.md."""
