"""What is done to a projection after its fit: directions, masks, repainting, hole filling, layers."""
