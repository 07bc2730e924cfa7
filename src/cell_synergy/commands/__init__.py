"""What public commands share: arguments, where they write, and the experiment they name."""
