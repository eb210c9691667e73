"""How faithfully latent spaces and chunks reconstruct pictures: Table 1 and Figure 4 of the paper, on any set."""
