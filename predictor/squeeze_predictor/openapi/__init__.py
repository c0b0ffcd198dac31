"""The server described in OpenAPI 3.1: one module for each module of `routes`, under the same name. Pure."""
