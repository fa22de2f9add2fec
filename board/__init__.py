"""The parts that the service and the relays share: settings, errors, SQL, migrations, Redis keys and scripts."""
