"""Image triplets, the activation ranges measured on them, and Q/DQ for INT8."""
