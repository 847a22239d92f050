"""Vision transformers as AutoFormer has them: the space `denas_vit`, its networks and super-network."""
