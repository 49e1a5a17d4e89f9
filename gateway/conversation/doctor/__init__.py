"""What `gateway doctor` looks at: a table of checks, each of which finds out one thing and says what would mend it."""
