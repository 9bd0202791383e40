"""Work side by side in several processes, and the threads of linear algebra."""
