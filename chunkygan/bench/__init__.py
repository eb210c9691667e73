"""What `chunkygan bench` measures: a step of a fit beside a direct reading of the paper."""
