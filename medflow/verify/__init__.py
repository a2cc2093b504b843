"""A second look at what de-identification wrote. It shares no code with the engine, and believes nothing of it."""
