"""Where frames come from: file names, folders, manifests, and the one decoder."""
