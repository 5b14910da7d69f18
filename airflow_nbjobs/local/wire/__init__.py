"""The AWS wire: formats, access, validation against the service's model, pages."""
