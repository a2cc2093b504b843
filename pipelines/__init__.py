"""When, how often, and what if it fails: Prefect flows over the steps of `medflow`."""
