"""Other servers, each as its documentation shows, around one and the same handler."""
