"""Values into a notebook and out of it: parameters, their types and conversion, outputs and their recording."""
