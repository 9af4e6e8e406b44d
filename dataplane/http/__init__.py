"""The registry API over HTTP: targets, ranges, answers and errors, and the server that speaks them."""
