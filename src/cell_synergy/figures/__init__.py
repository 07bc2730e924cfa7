"""What figures are drawn with: one style, and the runner of their notebooks."""
