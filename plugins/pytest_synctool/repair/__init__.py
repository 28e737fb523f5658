"""Put one node right: plan, shell script, mirror, journal, restore."""
