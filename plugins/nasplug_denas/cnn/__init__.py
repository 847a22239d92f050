"""Residual networks as DE-NAS has them: the space `denas_cnn`, its networks and super-network."""
