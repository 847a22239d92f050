"""What the parts are and what they exchange: abstract classes, plain frozen data, errors."""
