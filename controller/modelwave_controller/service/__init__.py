"""The process that serves: `modelwave serve`."""
