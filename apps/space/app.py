"""The demo as a Hugging Face Space: what `flipdetect demo` serves."""

from flipdetect.apps.demo import launch

if __name__ == "__main__":
    launch(model=None, threshold=None, host="0.0.0.0", port=7860)  # a container that others reach  # nosec B104
