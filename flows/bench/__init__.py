"""A bench of experiments: a list of arms, each trained, scored and recorded once, and the page that compares them."""
