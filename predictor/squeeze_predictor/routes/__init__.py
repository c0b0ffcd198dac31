"""The HTTP routes; each only translates between HTTP and the modules beside this package."""
