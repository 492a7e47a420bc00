"""The controller's service process: `modelwave serve`."""
