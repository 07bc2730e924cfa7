"""From what a platform measured to sections: matrices, places, labels, patches."""
