"""New videos: from a file, a URL or an object of the store."""
