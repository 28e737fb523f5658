"""From outcomes to what people and pipelines read."""
