"""What is once-for-all's own among the layers: its blocks, plain and elastic, their costs and sorting."""
