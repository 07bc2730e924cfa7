"""What image experts share: crops, networks, batches on the device, and work that is not redone."""
